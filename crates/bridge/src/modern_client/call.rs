//! One request of a stateless client on a session at the server: what comes back, as 2026-07-28 has
//! it, up to the response or to the input that the call requires.

use std::sync::Arc;

use domain::{Answer, ErrorKind, Failure, MessageStream, Permit};
use futures_util::{StreamExt, stream};
use protocol::{Kind, Message, Method, Rewrite, object};
use tokio::time::timeout_at;

use super::input::Round;
use super::parked::Parked;
use super::session::{Lease, LegacySession};
use super::translate;
use crate::ask::{broke_off, written};
use crate::level::Level;

/// The error of 2025-11-25 that says which URLs the user has to visit before the call is made again.
const VISITS_REQUIRED: i64 = -32042;

/// A request under way. Dropping it gives it up, here and at the server.
pub(super) struct Call {
    lease: Lease,
    permit: Permit,
    /// As the server has it.
    request: Message,
    /// The client's id of the request, or of its last retry.
    id: String,
    pieces: MessageStream,
    round: Round,
    /// The log lines that the client wants.
    level: Option<Level>,
    /// Under which the client wants progress.
    progress: Option<String>,
    /// How the call ended while the client was asked.
    ended: Option<Result<Message, Failure>>,
}

/// What the client gets next.
enum Piece {
    Note(Message),
    Last(Message),
    /// The call waits for its client.
    Input,
}

impl Call {
    /// Sends a request over a session that is open.
    ///
    /// # Errors
    ///
    /// `InvalidParams` when it asks for a log level that there is not.
    pub(super) async fn new(
        lease: Lease,
        permit: Permit,
        message: &Message,
    ) -> Result<Self, Failure> {
        let level = Level::asked(message)?;
        if let Some(level) = level {
            lease.session().want(level).await;
        }
        let request = translate::request(message)?;
        let session = Arc::clone(lease.session());
        let pieces = answer(session, permit.translated(), request.clone());
        Ok(Self {
            lease,
            permit,
            request,
            id: id_of(message),
            pieces,
            round: Round::default(),
            level,
            progress: message.progress_token().map(str::to_owned),
            ended: None,
        })
    }

    /// Goes on until the response, or until the call waits for its client.
    ///
    /// # Errors
    ///
    /// As [`domain::Connection::send`].
    pub(super) async fn run(mut self, parked: &Arc<Parked>) -> Result<Answer, Failure> {
        let first = match self.next().await? {
            Piece::Note(note) => note,
            Piece::Last(response) => return Ok(Answer::Message(response)),
            Piece::Input => return parked.park(self).map(Answer::Message),
        };
        let under_way = Some((self, Arc::clone(parked)));
        let rest = stream::unfold(under_way, |under_way| async {
            let (mut call, parked) = under_way?;
            match call.next().await {
                Ok(Piece::Note(note)) => Some((Ok(note), Some((call, parked)))),
                Ok(Piece::Last(response)) => Some((Ok(response), None)),
                Ok(Piece::Input) => Some((parked.park(call), None)),
                Err(failure) => Some((Err(failure), None)),
            }
        });
        Ok(Answer::Stream(Box::pin(stream::iter([Ok(first)]).chain(rest))))
    }

    async fn next(&mut self) -> Result<Piece, Failure> {
        loop {
            let arrived = match (self.ended.take(), self.round.settled()) {
                (Some(ended), _) => ended,
                (None, None) => self.arrival().await,
                (None, Some(settled)) => match timeout_at(settled, self.arrival()).await {
                    Ok(arrived) => arrived,
                    Err(_) => return Ok(Piece::Input),
                },
            };
            let message = arrived?;
            match message.kind() {
                Kind::Request => self.question(message),
                Kind::Notification => {
                    if let Some(note) = self.note(message)? {
                        return Ok(Piece::Note(note));
                    }
                }
                Kind::Response | Kind::Error => {
                    if let Some(response) = self.conclude(message)? {
                        return Ok(Piece::Last(response));
                    }
                }
            }
        }
    }

    /// The next message for this call, from its stream or beside it. Cancel-safe.
    async fn arrival(&mut self) -> Result<Message, Failure> {
        tokio::select! {
            biased;
            Some(message) = self.lease.side() => Ok(message),
            piece = self.pieces.next() => piece.unwrap_or_else(|| Err(broke_off())),
        }
    }

    /// Reads on while the client is asked, so that a server with much to say does not stand in the
    /// way of other calls. Never returns.
    pub(super) async fn wait(&mut self) {
        while self.ended.is_none() {
            match self.arrival().await {
                Ok(message) => match message.kind() {
                    Kind::Request => self.question(message),
                    // Nobody listens; what concerns others, or the questions, still counts.
                    Kind::Notification => drop(self.note(message)),
                    Kind::Response | Kind::Error => {
                        self.ended = Some(Ok(message));
                    }
                },
                Err(failure) => self.ended = Some(Err(failure)),
            }
        }
        std::future::pending().await
    }

    fn question(&mut self, message: Message) {
        let session = self.lease.session();
        if message.method() == Some(Method::Ping) {
            return session.take(message);
        }
        let asked = if self.is_asking() {
            self.round.ask(session.capabilities(), &message)
        } else {
            let text = format!("`{}` can ask nothing of clients", self.request.method_name());
            Err(Failure::new(ErrorKind::NotBridged, text))
        };
        if let Err(failure) = asked {
            session.refuse(message, failure);
        }
    }

    fn is_asking(&self) -> bool {
        self.request.method().is_some_and(Method::may_require_input)
    }

    /// A notification as the client gets it, if it does.
    fn note(&mut self, message: Message) -> Result<Option<Message>, Failure> {
        match message.method() {
            Some(Method::LogMessage) => {
                let wanted = self.level.zip(Level::of(&message));
                Ok(wanted.is_some_and(|(least, level)| level >= least).then_some(message))
            }
            Some(Method::Progress) => match &self.progress {
                Some(token) if message.progress_token() == Some(token) => Ok(Some(message)),
                Some(token) => {
                    let rewrite = Rewrite { progress_token: Some(token), ..Rewrite::default() };
                    written(message.rewrite(&rewrite)).map(Some)
                }
                None => Ok(None),
            },
            Some(Method::Cancelled) => {
                self.round.withdraw(&message);
                Ok(None)
            }
            _ => {
                self.lease.session().take(message);
                Ok(None)
            }
        }
    }

    /// The response as the client gets it, unless the call goes on.
    fn conclude(&mut self, response: Message) -> Result<Option<Message>, Failure> {
        self.round = Round::default();
        let session = self.lease.session();
        if response.error_code() == Some(VISITS_REQUIRED) && self.is_asking() {
            let data = response.error().and_then(|error| object::get(error, "data"));
            let visits = data.and_then(|data| object::get(data, "elicitations")).unwrap_or("[]");
            if self.round.ask_for_visits(session.capabilities(), visits)? {
                self.pieces = Box::pin(stream::pending());
                return Ok(None);
            }
        }
        let info = session.offer().and_then(|offer| offer.info.as_deref());
        let method = self.request.method().unwrap_or(Method::Other);
        translate::response(method, response, info).map(Some)
    }

    /// The response that asks the client for input; `state` brings its answers back here.
    ///
    /// # Errors
    ///
    /// `Internal` when it is not valid MCP, which is a defect.
    pub(super) fn required(&self, state: &str) -> Result<Message, Failure> {
        let info = self.lease.session().offer().and_then(|offer| offer.info.as_deref());
        self.round.required(&self.id, state, info)
    }
    /// Says whether the call waits for its client.
    pub(super) fn set_parked(&self, parked: bool) {
        self.lease.set_parked(parked);
    }

    /// Whether a request is this call again, and its answers can be passed on.
    ///
    /// # Errors
    ///
    /// `InvalidParams` when not.
    pub(super) fn check(&self, retry: &Message) -> Result<(), Failure> {
        let (call, retried) = (&self.request, retry);
        let same = call.method() == retried.method()
            && call.name() == retried.name()
            && call.uri() == retried.uri()
            && call.arguments() == retried.arguments();
        if !same {
            let text = "`params.requestState` belongs to a request with other parameters";
            return Err(Failure::new(ErrorKind::InvalidParams, text).unsent());
        }
        Level::asked(retry)?;
        self.round.check(retry.input_responses())
    }

    /// Gives the call up because its client cannot be asked: what the server still asks is refused.
    pub(super) fn dismiss(self, failure: &Failure) {
        if self.ended.is_some() {
            return;
        }
        for question in self.round.awaited() {
            self.lease.session().refuse(question.clone(), failure.clone());
        }
    }

    /// Passes the client's answers on.
    ///
    /// # Errors
    ///
    /// As [`domain::Connection::send`].
    pub(super) async fn resume(&mut self, permit: Permit, retry: &Message) -> Result<(), Failure> {
        self.id = id_of(retry);
        self.permit = permit;
        self.level = Level::asked(retry)?;
        self.progress = retry.progress_token().map(str::to_owned);
        let session = Arc::clone(self.lease.session());
        if let Some(level) = self.level {
            session.want(level).await;
        }
        if self.ended.is_some() {
            return Ok(());
        }
        let (replies, again) = self.round.answer(retry.input_responses())?;
        for reply in replies {
            session.connection().send(self.permit.translated(), reply).await?;
        }
        if again {
            self.pieces = answer(session, self.permit.translated(), self.request.clone());
        }
        Ok(())
    }
}

/// What the server answers, piece by piece; the request is sent with the first.
fn answer(session: Arc<LegacySession>, permit: Permit, request: Message) -> MessageStream {
    let sent = async move {
        match session.connection().send(permit, request).await {
            Ok(Answer::Stream(stream)) => stream,
            Ok(Answer::Message(response)) => stream::iter([Ok(response)]).boxed(),
            Ok(Answer::Accepted) => stream::empty().boxed(),
            Err(failure) => stream::iter([Err(failure)]).boxed(),
        }
    };
    Box::pin(stream::once(sent).flatten())
}

fn id_of(message: &Message) -> String {
    message.id().unwrap_or("null").to_owned()
}
