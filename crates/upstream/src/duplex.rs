//! Servers that are spoken to over one pair of pipes: a child's standard input and output, or an
//! event stream with POSTs (HTTP+SSE).
//!
//! Answers find their requests by our ids. A pair of pipes is a [`Wire`]; when it dies, the requests
//! sent on it fail at once, and the next message opens another one and brings the server to where
//! it was by repeating the client's `initialize` and `notifications/initialized`.

mod wire;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, Weak};

use bytes::Bytes;
use domain::{Answer, Failure, Inbox, MessageStream};
use futures_util::stream;
use protocol::{Kind, Message, Method};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

pub(crate) use self::wire::{End, Out, Wire};
use crate::failure;
use crate::http::HttpClient;
use crate::ledger::{Abandon, Flight, Ledger, Piece, cancellation, lock};
use crate::server::{GRACE, Shared};
use crate::session::Miss;
use crate::stdio::ServerCommand;
use crate::target::Target;

/// How a pair of pipes is made.
#[derive(Clone)]
pub(crate) enum Dialler {
    /// By starting a child process.
    Child(Arc<ServerCommand>),
    /// By opening an event stream.
    Events(Arc<HttpClient>, Target),
}

/// The upstream side of one session over a pair of pipes.
pub(crate) struct Duplex {
    shared: Arc<Shared>,
    dialler: Dialler,
    inbox: Arc<dyn Inbox>,
    ledger: Arc<Ledger>,
    /// The wire that messages go to, also while it is being greeted.
    current: SyncMutex<Option<Arc<Wire>>>,
    /// Held while a wire is being made.
    making: Mutex<Making>,
    greeting: SyncMutex<Greeting>,
    /// Wires that died or could not be made since the last answer.
    failures: Arc<AtomicU32>,
    stop: CancellationToken,
    abandon: Abandon,
    this: Weak<Self>,
}

#[derive(Default)]
struct Making {
    /// Wires so far.
    count: u64,
    /// Whether the current wire is greeted, so that messages may follow.
    done: bool,
}

/// What a server must be told before anything else.
#[derive(Clone, Default)]
struct Greeting {
    /// The client's `initialize`, once it was answered.
    initialize: Option<Message>,
    /// The client's `notifications/initialized`.
    initialized: Option<Bytes>,
}

impl Duplex {
    /// A session that has opened nothing. Everything it opens ends with `stop`.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        dialler: Dialler,
        inbox: &Arc<dyn Inbox>,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| {
            let that = this.clone();
            Self {
                shared: Arc::clone(shared),
                dialler,
                inbox: Arc::clone(inbox),
                ledger: Ledger::new(shared.protocol_errors()),
                current: SyncMutex::default(),
                making: Mutex::default(),
                greeting: SyncMutex::default(),
                failures: Arc::default(),
                stop: stop.clone(),
                abandon: Arc::new(move |own| {
                    if let Some(duplex) = that.upgrade() {
                        duplex.tell_cancelled(own);
                    }
                }),
                this: this.clone(),
            }
        })
    }

    /// Makes the first pair of pipes.
    pub(crate) async fn open(&self) -> Result<(), Miss> {
        let opened = timeout(self.shared.timeout(), self.wire(false)).await;
        opened.map_err(|_| self.late())?.map(drop)
    }

    /// Passes a message on.
    pub(crate) async fn send(&self, message: &Message) -> Result<Answer, Failure> {
        match message.kind() {
            Kind::Request => self.request(message).await,
            Kind::Notification if message.method() == Some(Method::Cancelled) => {
                let Some(own) = self.ledger.cancel(message) else { return Ok(Answer::Accepted) };
                self.reply(message.with_cancelled_id(&own.to_string())).await
            }
            Kind::Notification => {
                if message.method() == Some(Method::Initialized) {
                    lock(&self.greeting).initialized = Some(message.bytes().clone());
                }
                let deadline = self.shared.deadline();
                let wire = self.wire_until(deadline, true).await.map_err(Failure::unsent)?;
                self.put(&wire, message.bytes().clone(), deadline).await?;
                Ok(Answer::Accepted)
            }
            Kind::Response | Kind::Error => self.reply(message.bytes().clone()).await,
        }
    }

    /// Ends the session; returns when nothing of it is left.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.ledger.close();
        let wire = lock(&self.current).take();
        if let Some(wire) = wire {
            wire.closed().await;
        }
    }

    /// Sends what only means something to the server that runs now.
    pub(crate) async fn reply(&self, body: Bytes) -> Result<Answer, Failure> {
        let wire = lock(&self.current).clone();
        let wire = wire.ok_or_else(|| failure::broken("the server is not connected").unsent())?;
        self.put(&wire, body, self.shared.deadline()).await?;
        Ok(Answer::Accepted)
    }

    async fn request(&self, message: &Message) -> Result<Answer, Failure> {
        let deadline = self.shared.deadline();
        let initialize = message.method() == Some(Method::Initialize);
        let mut tries = 0;
        loop {
            tries += 1;
            let mut flight = self.ledger.enter(message)?;
            flight.hold(self.shared.slot(deadline).await?);
            let wire = self.wire_until(deadline, !initialize).await;
            // An earlier try may have written it.
            let wire = wire.map_err(|failure| Failure { unsent: tries == 1, ..failure })?;
            if !initialize {
                flight.arm(&self.abandon);
            }
            let piece = self.ask(&wire, message, &mut flight, deadline).await;
            match piece? {
                Piece::Update(update) => return Ok(Answer::Stream(self.stream(update, flight))),
                Piece::End(Ok(answer)) => {
                    self.failures.store(0, Ordering::Relaxed);
                    if initialize && answer.kind() == Kind::Response {
                        lock(&self.greeting).initialize = Some(message.clone());
                    }
                    return Ok(Answer::Message(answer));
                }
                // A child that ended before it was initialised has done nothing.
                Piece::End(Err(_))
                    if initialize
                        && wire.is_dead()
                        && matches!(self.dialler, Dialler::Child(_))
                        && tries < self.shared.config().retry.attempts() => {}
                Piece::End(Err(failure)) => return Err(failure),
            }
        }
    }

    /// Sends a request on a wire and waits for the first piece of its answer, up to the deadline.
    async fn ask(
        &self,
        wire: &Arc<Wire>,
        message: &Message,
        flight: &mut Flight,
        deadline: Instant,
    ) -> Result<Piece, Failure> {
        let own = flight.own();
        self.ledger.sent_on(own, wire.id());
        let body = message.with_id(&own.to_string());
        let sent = tokio::select! {
            biased;
            sent = self.put(wire, body, deadline) => sent,
            // The answer can be faster than the word that the message was taken.
            piece = flight.next() => return Ok(piece),
        };
        if let Err(failure) = sent {
            flight.settle();
            return Ok(Piece::End(Err(failure)));
        }
        timeout_at(deadline, flight.next()).await.map_err(|_| self.late())
    }

    /// The pieces of an answer that did not begin with its end.
    fn stream(&self, first: Message, flight: Flight) -> MessageStream {
        let limit = self.shared.timeout();
        let late = self.late();
        let rest = stream::unfold(Some(flight), move |flight| {
            let late = late.clone();
            async move {
                let mut flight = flight?;
                match timeout(limit, flight.next()).await {
                    Ok(Piece::Update(update)) => Some((Ok(update), Some(flight))),
                    Ok(Piece::End(end)) => Some((end, None)),
                    Err(_) => Some((Err(late), None)),
                }
            }
        });
        Box::pin(futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest))
    }

    async fn put(&self, wire: &Wire, body: Bytes, deadline: Instant) -> Result<(), Failure> {
        timeout_at(deadline, wire.put(body)).await.map_err(|_| self.late())?
    }

    async fn wire_until(&self, deadline: Instant, greet: bool) -> Result<Arc<Wire>, Failure> {
        let wire = self.stop.run_until_cancelled(self.wire(greet));
        match timeout_at(deadline, wire).await {
            Ok(Some(made)) => made.map_err(Miss::into_failure),
            Ok(None) => Err(failure::closed()),
            Err(_) => Err(self.late()),
        }
    }

    /// The living wire, or a new one. With `greet`, a new one is brought to where the last one was.
    async fn wire(&self, greet: bool) -> Result<Arc<Wire>, Miss> {
        let mut making = self.making.lock().await;
        let current = lock(&self.current).clone();
        if let Some(wire) = current.filter(|wire| making.done && !wire.is_dead()) {
            return Ok(wire);
        }
        // Also one whose greeting was given up half way.
        drop(lock(&self.current).take());
        making.done = false;
        let retry = &self.shared.config().retry;
        let mut tries = 0;
        loop {
            tries += 1;
            let failures = self.failures.load(Ordering::Relaxed);
            if failures > 0 {
                sleep(retry.delay(failures)).await;
            }
            making.count += 1;
            match self.make(making.count, greet).await {
                Ok(wire) => {
                    self.shared.reached();
                    making.done = true;
                    return Ok(wire);
                }
                Err(Miss::NotHere(failure)) => return Err(Miss::NotHere(failure)),
                Err(Miss::Failed(failure)) => {
                    drop(lock(&self.current).take());
                    if matches!(self.dialler, Dialler::Events(..)) {
                        self.shared.lost(&failure);
                    }
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    if tries >= retry.attempts() {
                        return Err(failure.into());
                    }
                    tracing::debug!(error = %failure, tries, "no connection, trying again");
                }
            }
        }
    }

    async fn make(&self, id: u64, greet: bool) -> Result<Arc<Wire>, Miss> {
        let stop = self.stop.child_token();
        let end = Arc::new(End::new(id, &self.shared, &self.ledger, &self.inbox, &self.failures));
        let wire = match &self.dialler {
            Dialler::Child(command) => {
                // All that speaks for every session: what a child does later is its session's.
                let started = crate::stdio::start(command, &end, stop);
                started.inspect_err(|failure| self.shared.lost(failure))?
            }
            Dialler::Events(client, target) => crate::sse::open(client, target, &end, stop).await?,
        };
        let wire = Arc::new(wire);
        *lock(&self.current) = Some(Arc::clone(&wire));
        let greeting = lock(&self.greeting).clone();
        if let Some(initialize) = greeting.initialize.filter(|_| greet) {
            self.greet(&wire, &initialize, greeting.initialized).await?;
            tracing::info!(server = self.shared.name(), "connected to the server again");
        }
        if matches!(self.dialler, Dialler::Events(..)) {
            self.watch(&end);
        }
        Ok(wire)
    }

    /// Repeats the client's opening words on a new wire.
    async fn greet(
        &self,
        wire: &Arc<Wire>,
        initialize: &Message,
        initialized: Option<Bytes>,
    ) -> Result<(), Failure> {
        let deadline = self.shared.deadline();
        let mut flight = self.ledger.enter_own();
        match self.ask(wire, initialize, &mut flight, deadline).await? {
            Piece::End(Ok(answer)) if answer.kind() == Kind::Response => {}
            Piece::End(Err(failure)) => return Err(failure),
            Piece::End(Ok(_)) | Piece::Update(_) => {
                return Err(failure::unreachable("the server refused to be initialised again"));
            }
        }
        match initialized {
            Some(initialized) => self.put(wire, initialized, deadline).await,
            None => Ok(()),
        }
    }

    /// Opens another wire when this one dies: the server may have something to say meanwhile.
    fn watch(&self, end: &Arc<End>) {
        let (this, over, stop) = (self.this.clone(), end.over(), self.stop.clone());
        if !self.shared.config().retry.enabled {
            return;
        }
        let come_back = async move {
            over.cancelled().await;
            let Some(duplex) = this.upgrade() else { return };
            if lock(&duplex.greeting).initialize.is_some()
                && let Err(miss) = duplex.wire(true).await
            {
                tracing::debug!(error = %miss.into_failure(), "the server did not come back");
            }
        };
        tokio::spawn(async move { stop.run_until_cancelled(come_back).await });
    }

    fn tell_cancelled(self: Arc<Self>, own: u64) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            match timeout(GRACE, self.reply(cancellation(own))).await {
                Ok(Ok(_)) => {}
                Ok(Err(failure)) => {
                    tracing::debug!(error = %failure, "not told of the cancellation")
                }
                Err(_) => tracing::debug!("the server did not take the cancellation in time"),
            }
        });
    }

    fn late(&self) -> Failure {
        let silent = matches!(self.dialler, Dialler::Child(_))
            && lock(&self.current).as_ref().is_some_and(|wire| wire.is_silent());
        let late = if silent { failure::silent } else { failure::timeout };
        late(self.shared.timeout(), self.shared.name())
    }
}
