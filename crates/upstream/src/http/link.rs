//! The Streamable HTTP client of one session (MCP 2025-03-26 to 2025-11-25, "Streamable HTTP").
//!
//! Every message is one POST. A JSON answer stays one message; an event stream is passed on event
//! by event until the response. Messages outside of any answer come over the standalone GET stream.

mod answer;
mod listen;
mod phase;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use domain::{Answer, Failure, Inbox};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use protocol::{Kind, Message, Method};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use self::answer::AnswerEvents;
use self::phase::Phase;
use super::{EventReader, HttpClient, Media, SESSION_ID, delete, discard, parse, post};
use crate::failure;
use crate::ledger::{Abandon, Ledger, Piece, cancellation, lock, own_id};
use crate::server::{GRACE, Shared};
use crate::session::Miss;
use crate::target::Target;

/// How long requests wait for the standalone stream to open: a server may put what belongs to a
/// call on it, and may also say nothing there until it has something.
const LISTEN_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

/// The upstream side of one session over Streamable HTTP.
pub(crate) struct HttpLink {
    shared: Arc<Shared>,
    client: Arc<HttpClient>,
    target: Target,
    inbox: Arc<dyn Inbox>,
    ledger: Arc<Ledger>,
    phase: Mutex<Phase>,
    /// Whether requests should wait for the standalone stream.
    opening: watch::Sender<bool>,
    /// Ends the standalone stream of an earlier initialisation.
    listener: Mutex<CancellationToken>,
    stop: CancellationToken,
    abandon: Abandon,
}

impl HttpLink {
    /// A link that has sent nothing. Background work ends with `stop`.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        client: &Arc<HttpClient>,
        target: &Target,
        inbox: &Arc<dyn Inbox>,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        Arc::new_cyclic(|link: &std::sync::Weak<Self>| {
            let link = link.clone();
            Self {
                shared: Arc::clone(shared),
                client: Arc::clone(client),
                target: target.clone(),
                inbox: Arc::clone(inbox),
                ledger: Ledger::new(shared.protocol_errors()),
                phase: Mutex::default(),
                opening: watch::Sender::new(false),
                listener: Mutex::default(),
                stop: stop.clone(),
                abandon: Arc::new(move |own| {
                    if let Some(link) = link.upgrade() {
                        link.tell_cancelled(own);
                    }
                }),
            }
        })
    }

    /// Passes a message on. With `probing`, a status by which a server says that this is not its
    /// address for Streamable HTTP is a miss.
    pub(crate) async fn send(
        self: &Arc<Self>,
        message: &Message,
        probing: bool,
    ) -> Result<Answer, Miss> {
        match message.kind() {
            Kind::Request => self.request(message, probing).await,
            Kind::Notification if message.method() == Some(Method::Cancelled) => {
                let Some(own) = self.ledger.cancel(message) else { return Ok(Answer::Accepted) };
                self.notify(message.with_cancelled_id(&own.to_string()), probing).await
            }
            Kind::Notification if message.method() == Some(Method::Initialized) => {
                let accepted = self.notify(message.bytes().clone(), probing).await?;
                self.listen();
                Ok(accepted)
            }
            Kind::Notification | Kind::Response | Kind::Error => {
                self.notify(message.bytes().clone(), probing).await
            }
        }
    }

    /// Ends the session here and at the server.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.ledger.close();
        let phase = std::mem::take(&mut *lock(&self.phase));
        if phase.has_session() {
            let request = || delete(&self.target, phase.headers());
            let limit = GRACE.min(self.shared.timeout());
            match timeout(limit, self.client.send(&self.target, request)).await {
                Ok(Ok(response)) => tracing::debug!(status = %response.status(), "session ended"),
                Ok(Err(error)) => tracing::debug!(%error, "session not ended"),
                Err(_) => tracing::debug!("the server did not say that the session ended"),
            }
        }
    }

    /// Sends a message that has no answer.
    pub(crate) async fn notify(&self, body: Bytes, probing: bool) -> Result<Answer, Miss> {
        let deadline = self.shared.deadline();
        let sent =
            timeout_at(deadline, self.post(body, false)).await.map_err(|_| self.late())??;
        if sent.response.status().is_success() {
            discard(sent.response.into_body());
            return Ok(Answer::Accepted);
        }
        self.refused(sent, None, probing, deadline).await.map(Answer::Message)
    }

    async fn request(self: &Arc<Self>, message: &Message, probing: bool) -> Result<Answer, Miss> {
        let deadline = self.shared.deadline();
        let mut flight = self.ledger.enter(message)?;
        flight.hold(self.shared.slot(deadline).await?);
        let initialize = message.method() == Some(Method::Initialize);
        if !initialize {
            self.listening(deadline).await;
            flight.arm(&self.abandon);
        }
        let own = flight.own();
        let exchange = self.exchange(message, own, probing, deadline);
        let answer = tokio::select! {
            biased;
            // Cancelled by the client, or the session closed.
            Piece::End(Err(failure)) = flight.next() => return Err(failure.into()),
            answer = timeout_at(deadline, exchange) => answer,
        };
        // A deadline leaves the flight armed: dropping it tells the server.
        match answer.map_err(|_| self.late())? {
            Ok(Exchanged::Message(message)) => {
                flight.settle();
                Ok(Answer::Message(message))
            }
            Ok(Exchanged::Events(reader, opening)) => {
                let events = AnswerEvents::new(Arc::clone(self), reader, flight, opening);
                Ok(Answer::Stream(events.into_stream()))
            }
            Err(miss) => {
                flight.settle();
                Err(miss)
            }
        }
    }

    /// One request and the head of its answer, or all of it when it is JSON.
    async fn exchange(
        &self,
        message: &Message,
        own: u64,
        probing: bool,
        deadline: Instant,
    ) -> Result<Exchanged, Miss> {
        let initialize = message.method() == Some(Method::Initialize);
        let sent = self.post(message.with_id(&own.to_string()), initialize).await?;
        let status = sent.response.status();
        if !status.is_success() {
            return self.refused(sent, Some(own), probing, deadline).await.map(Exchanged::Message);
        }
        let response = sent.response;
        let opening = initialize.then(|| Opening { session: self.minted(response.headers()) });
        match Media::of(response.headers()) {
            Media::Json => {
                let message = parse(self.client.collect(response.into_body()).await?)?;
                self.check_answer(&message, own)?;
                if let Some(opening) = opening {
                    self.opened(opening, &message);
                }
                Ok(Exchanged::Message(message))
            }
            Media::Events => {
                let reader = EventReader::new(response.into_body(), self.client.max_message());
                Ok(Exchanged::Events(reader, opening))
            }
            Media::Other => {
                let (status, shown) = (status.as_u16(), self.target.shown());
                let failure = failure::protocol(format!(
                    "HTTP status {status} from {shown} without a JSON or event stream body"
                ));
                Err(if probing { Miss::NotHere(failure) } else { Miss::Failed(failure) })
            }
        }
    }

    fn check_answer(&self, message: &Message, own: u64) -> Result<(), Failure> {
        if is_answer(message) && own_id(message) == Some(own) {
            return Ok(());
        }
        self.ledger.odd("answers another request than the one it came for");
        Err(failure::protocol("the JSON body is not the answer to the request"))
    }

    /// Sends a body with what the session needs.
    async fn post(&self, body: Bytes, initialize: bool) -> Result<Sent, Failure> {
        let phase = lock(&self.phase).clone();
        if matches!(phase, Phase::Forgotten) && !initialize {
            return Err(failure::forgotten().unsent());
        }
        let with_session = phase.has_session();
        let request = || post(&self.target, phase.headers(), body.clone());
        match self.client.send(&self.target, request).await {
            Ok(response) => {
                self.shared.reached();
                Ok(Sent { response, with_session })
            }
            Err(failure) => {
                self.shared.lost(&failure);
                Err(failure)
            }
        }
    }

    /// What a status other than success means: an error reply to the request, or a failure.
    async fn refused(
        &self,
        sent: Sent,
        own: Option<u64>,
        probing: bool,
        deadline: Instant,
    ) -> Result<Message, Miss> {
        let Sent { response, with_session } = sent;
        let status = response.status();
        let json = Media::of(response.headers()) == Media::Json;
        let body = match timeout_at(deadline, self.client.collect(response.into_body())).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) | Err(_) => Bytes::new(),
        };
        let message = json.then(|| Message::parse(body.clone()).ok()).flatten();
        let answers = |message: &Message| is_answer(message) && own_id(message) == own;
        if let Some(message) = message.filter(|message| own.is_some() && answers(message)) {
            return Ok(message);
        }
        let unknown = status == StatusCode::NOT_FOUND
            || (status == StatusCode::BAD_REQUEST && names_session(&body));
        if with_session && unknown {
            self.forget();
            return Err(failure::forgotten().into());
        }
        let failure = failure::status(status, self.target.shown());
        let elsewhere =
            [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
        let miss = probing && elsewhere.contains(&status);
        Err(if miss { Miss::NotHere(failure) } else { Miss::Failed(failure) })
    }

    /// The session id of an answer to `initialize`: visible ASCII, or it is not one.
    fn minted(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut session = headers.get(SESSION_ID)?.clone();
        if session.is_empty() || !session.as_bytes().iter().all(u8::is_ascii_graphic) {
            self.ledger.odd("session id is not visible ASCII");
            return None;
        }
        session.set_sensitive(true);
        Some(session)
    }

    /// Takes over what the server settled on.
    fn opened(&self, opening: Opening, answer: &Message) {
        self.shared.spoke();
        if answer.kind() == Kind::Response {
            *lock(&self.phase) = Phase::open(opening.session, answer);
        }
    }

    fn forget(&self) {
        *lock(&self.phase) = Phase::Forgotten;
    }

    /// Waits for the standalone stream, if one is being opened.
    async fn listening(&self, deadline: Instant) {
        if *self.opening.borrow() {
            let mut opening = self.opening.subscribe();
            let until = deadline.min(Instant::now() + LISTEN_WAIT);
            let settled = timeout_at(until, opening.wait_for(|opening| !opening)).await;
            if settled.is_err() {
                tracing::debug!("the standalone stream is not open yet, going on without it");
            }
        }
    }

    fn tell_cancelled(self: &Arc<Self>, own: u64) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let link = Arc::clone(self);
        runtime.spawn(async move {
            tokio::select! {
                () = link.stop.cancelled() => {}
                told = link.notify(cancellation(own), false) => {
                    if let Err(miss) = told {
                        tracing::debug!(error = %miss.into_failure(), "cancellation was not accepted");
                    }
                }
            }
        });
    }

    fn late(&self) -> Failure {
        failure::timeout(self.shared.timeout(), self.shared.name())
    }
}

/// A response, and whether its request carried a session id.
struct Sent {
    response: Response<Incoming>,
    with_session: bool,
}

/// What the head of an answer to `initialize` carried.
struct Opening {
    session: Option<HeaderValue>,
}

/// What one POST of a request brought.
enum Exchanged {
    Message(Message),
    Events(EventReader, Option<Opening>),
}

fn is_answer(message: &Message) -> bool {
    matches!(message.kind(), Kind::Response | Kind::Error)
}

/// Whether an error text is about the session: some servers refuse an unknown session with 400.
fn names_session(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).to_ascii_lowercase().contains("session")
}
