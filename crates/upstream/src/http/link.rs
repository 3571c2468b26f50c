//! The Streamable HTTP client of one session (MCP 2025-03-26 to 2025-11-25, "Streamable HTTP"), and
//! of messages that need none (2026-07-28).
//!
//! Every message is one POST. A JSON answer stays one message; an event stream is passed on event
//! by event until the response. Messages outside of any answer come over the standalone GET stream.
//! Stateless messages have neither a session nor that stream, and are cancelled by closing their
//! answer.

mod answer;
mod exchange;
mod listen;
mod mirrored;
mod phase;
mod refused;
mod renew;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use domain::{Answer, Failure, Handshake, Inbox, lock};
use http::{HeaderMap, Response};
use hyper::body::Incoming;
use protocol::{Era, Kind, Message, Method};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use self::phase::Phase;
use super::{HttpClient, delete, discard, post};
use crate::failure;
use crate::greeting::Greeting;
use crate::ledger::{Abandon, Lane, Ledger, Updates, cancellation};
use crate::parcel::Parcel;
use crate::questions::Questions;
use crate::server::{GRACE, Shared};
use crate::session::{Miss, Owner};
use crate::target::Target;
use crate::tools::SeenTools;

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
    greeting: Greeting,
    tools: Arc<SeenTools>,
    questions: Arc<Questions>,
    phase: Mutex<Phase>,
    /// Held while the session is being opened again.
    renewing: tokio::sync::Mutex<()>,
    /// Whether requests should wait for the standalone stream.
    opening: AtomicBool,
    /// For those that wait.
    opened: Notify,
    /// Ends the standalone stream, if one was asked for.
    listener: Mutex<Option<CancellationToken>>,
    stop: CancellationToken,
    abandon: Abandon,
}

impl HttpLink {
    /// A link for messages of an era that has sent nothing. Background work ends with its owner.
    pub(crate) fn new(
        owner: &Owner,
        client: &Arc<HttpClient>,
        target: &Target,
        era: Era,
    ) -> Arc<Self> {
        let handshake = owner.handshake.as_ref().filter(|_| era == Era::Legacy);
        Arc::new_cyclic(|link: &std::sync::Weak<Self>| {
            let link = link.clone();
            Self {
                shared: Arc::clone(&owner.shared),
                client: Arc::clone(client),
                target: target.clone(),
                inbox: Arc::clone(&owner.inbox),
                ledger: owner.ledger(Updates::Apart),
                greeting: Greeting::of(handshake),
                tools: Arc::clone(&owner.tools),
                questions: Arc::clone(&owner.questions),
                phase: Mutex::new(handshake.map(|it| resumed(owner, it)).unwrap_or_default()),
                renewing: tokio::sync::Mutex::default(),
                opening: AtomicBool::new(false),
                opened: Notify::new(),
                listener: Mutex::default(),
                stop: owner.stop.clone(),
                abandon: Arc::new(move |own| {
                    if let Some(link) = link.upgrade() {
                        link.tell_cancelled(own);
                    }
                }),
            }
        })
    }

    /// How the session began.
    pub(crate) fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// What another replica needs to go on.
    pub(crate) fn handshake(&self) -> Option<Handshake> {
        self.greeting.handshake(lock(&self.phase).session_id())
    }

    /// Passes a message on. With `probing`, a status by which a server says that this is not its
    /// address for Streamable HTTP is a miss. A server that has forgotten the session is told how
    /// it began, and gets the message again, which it did not take.
    pub(crate) async fn send(
        self: &Arc<Self>,
        lane: Lane,
        message: Parcel<'_>,
        probing: bool,
    ) -> Result<Answer, Miss> {
        let deadline = self.shared.deadline();
        let mut renewals = self.shared.config().retry.attempts();
        loop {
            let sent = match message.kind() {
                Kind::Request => self.request(lane, message, probing, deadline).await,
                Kind::Notification => self.tell(lane, message, probing, deadline).await,
                Kind::Response | Kind::Error => return self.say(message.bytes().clone()).await,
            };
            let untaken = match sent {
                Err(Miss::NotTaken(failure)) if renewals > 0 => failure,
                sent => return sent,
            };
            renewals -= 1;
            // Rare, and large: not part of the future of each message.
            let renewed = Box::pin(self.renew(probing, deadline)).await;
            renewed.map_err(|miss| if untaken.unsent { miss.unsent() } else { miss })?;
        }
    }

    /// Sends what only means something to the session that the server has now.
    pub(crate) async fn reply(&self, body: Bytes) -> Result<Answer, Failure> {
        self.say(body).await.map_err(Miss::into_failure)
    }

    async fn say(&self, body: Bytes) -> Result<Answer, Miss> {
        let phase = lock(&self.phase).clone();
        // What is forgotten with its session needs no word.
        if matches!(phase, Phase::Forgotten) {
            return Ok(Answer::Accepted);
        }
        match self.notify(body, Says::of(phase), false, self.shared.deadline()).await {
            Err(Miss::NotTaken(_)) => Ok(Answer::Accepted),
            said => said,
        }
    }

    /// Passes a notification on.
    async fn tell(
        self: &Arc<Self>,
        lane: Lane,
        message: Parcel<'_>,
        probing: bool,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        if message.method() == Some(Method::Cancelled) {
            return match self.ledger.cancel(lane, &message) {
                Some((own, Era::Legacy)) => {
                    self.say(message.with_cancelled_id(&own.to_string())).await
                }
                // The end of the request closes its stream, which says it all.
                Some((_, Era::Modern)) | None => Ok(Answer::Accepted),
            };
        }
        let says = self.says(message)?;
        let accepted = self.notify(message.bytes().clone(), says, probing, deadline).await?;
        if message.method() == Some(Method::Initialized) {
            self.greeting.initialized(&message);
            self.listen();
        }
        Ok(accepted)
    }

    /// Ends all that goes on here; the session at the server stays.
    pub(crate) fn leave(&self) {
        self.stop.cancel();
        self.ledger.close();
    }

    /// Ends the session here and at the server.
    pub(crate) async fn close(&self) {
        self.leave();
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
    async fn notify(
        &self,
        body: Bytes,
        says: Says<'_>,
        probing: bool,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        let sent = timeout_at(deadline, self.post(body, says)).await.map_err(|_| self.late())??;
        if sent.response.status().is_success() {
            discard(sent.response.into_body());
            return Ok(Answer::Accepted);
        }
        self.refused(sent, None, probing, deadline).await.map(Answer::Message)
    }

    async fn request(
        self: &Arc<Self>,
        lane: Lane,
        message: Parcel<'_>,
        probing: bool,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        let mut flight = self.ledger.enter(lane, &message)?;
        if !flight.listens() {
            flight.hold(self.shared.slot(deadline).await?);
        }
        if message.era() == Era::Legacy && message.method() != Some(Method::Initialize) {
            self.listening(deadline).await;
            flight.arm(&self.abandon);
        }
        self.fly(message, flight, probing, deadline).await
    }

    /// What a message has to say in its headers.
    ///
    /// # Errors
    ///
    /// It belongs to a session that the server has forgotten.
    fn says<'a>(&self, message: Parcel<'a>) -> Result<Says<'a>, Miss> {
        if message.era() == Era::Modern {
            return Ok(Says { session: None, message: Some(message) });
        }
        let phase = lock(&self.phase).clone();
        if matches!(phase, Phase::Forgotten) && message.method() != Some(Method::Initialize) {
            return Err(Miss::NotTaken(failure::forgotten().unsent()));
        }
        Ok(Says { session: Some(phase), message: Some(message) })
    }

    /// Sends a body with its headers.
    async fn post(&self, body: Bytes, says: Says<'_>) -> Result<Sent, Failure> {
        let request = || post(&self.target, says.headers(), body.clone());
        match self.client.send(&self.target, request).await {
            Ok(response) => {
                self.shared.reached();
                Ok(Sent { response, phase: says.into_phase() })
            }
            Err(failure) => {
                self.shared.lost(&failure);
                Err(failure)
            }
        }
    }

    fn is_opening(&self) -> bool {
        self.opening.load(Ordering::SeqCst)
    }

    /// Says whether requests should wait for the standalone stream.
    fn set_opening(&self, opening: bool) {
        self.opening.store(opening, Ordering::SeqCst);
        self.opened.notify_waiters();
    }

    /// Waits for the standalone stream, if one is being opened.
    async fn listening(&self, deadline: Instant) {
        if self.is_opening() {
            let settled = async {
                loop {
                    let opened = self.opened.notified();
                    if !self.is_opening() {
                        return;
                    }
                    opened.await;
                }
            };
            let until = deadline.min(Instant::now() + LISTEN_WAIT);
            if timeout_at(until, settled).await.is_err() {
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
                told = link.reply(cancellation(own)) => {
                    if let Err(failure) = told {
                        tracing::debug!(error = %failure, "cancellation was not accepted");
                    }
                }
            }
        });
    }

    fn late(&self) -> Failure {
        failure::timeout(self.shared.timeout(), self.shared.name())
    }
}

/// Where a session is that was opened elsewhere. One that settled on a revision which is not allowed
/// any more has to be opened anew.
fn resumed(owner: &Owner, handshake: &Handshake) -> Phase {
    let oldest = &owner.shared.config().min_protocol_version;
    let too_old =
        oldest.as_ref().is_some_and(|oldest| handshake.server_version.as_str() < oldest.as_str());
    if too_old { Phase::Forgotten } else { Phase::resumed(handshake) }
}

/// What a message says in its headers.
struct Says<'a> {
    /// The session it belongs to, where the era has them; else what is in the body is repeated.
    session: Option<Phase>,
    /// The message of the client, if it is one.
    message: Option<Parcel<'a>>,
}

impl Says<'_> {
    /// What a message of our own says.
    fn of(session: Phase) -> Self {
        Self { session: Some(session), message: None }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = match (&self.session, self.message) {
            (Some(phase), _) => phase.headers(),
            (None, Some(message)) => mirrored::headers(message.message),
            (None, None) => HeaderMap::new(),
        };
        if let Some(message) = self.message {
            message.label(&mut headers);
        }
        headers
    }

    fn into_phase(self) -> Phase {
        self.session.unwrap_or_default()
    }
}

/// A response, and what its request said of the session.
struct Sent {
    response: Response<Incoming>,
    phase: Phase,
}

fn is_answer(message: &Message) -> bool {
    matches!(message.kind(), Kind::Response | Kind::Error)
}
