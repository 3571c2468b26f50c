//! Servers that are spoken to over one pair of pipes: a child's standard input and output, an event
//! stream with POSTs (HTTP+SSE), or a WebSocket.
//!
//! Answers find their requests by our ids. A pair of pipes is a [`Wire`]; when it dies, the requests
//! sent on it fail at once, and the next message opens another one and brings the server to where
//! it was by repeating the client's `initialize` and `notifications/initialized`.

mod request;
mod shared_pipes;
mod wire;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, Weak};

use bytes::Bytes;
use child::Command;
use domain::{Answer, Failure, Inbox, lock};
use protocol::{Kind, Message, Method};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

pub(crate) use self::shared_pipes::{Lease, SharedPipes};
pub(crate) use self::wire::{End, Out, QUEUE, Wire};
use crate::failure;
use crate::greeting::{Greeting, Words};
use crate::http::HttpClient;
use crate::ledger::{Abandon, Lane, Ledger, Updates, cancellation};
use crate::parcel::Parcel;
use crate::questions::Questions;
use crate::server::{GRACE, Shared};
use crate::session::{Miss, Owner};
use crate::target::Target;
use crate::tools::SeenTools;
use crate::websocket::WebSocketClient;

/// How a pair of pipes is made.
#[derive(Clone)]
pub(crate) enum Dialler {
    /// By starting a child process.
    Child(Arc<Command>),
    /// By opening an event stream.
    Events(Arc<HttpClient>, Target),
    /// By opening a WebSocket.
    Socket(Arc<WebSocketClient>, Target),
}

impl Dialler {
    /// Whether the other end runs on its own, whoever is connected to it.
    fn is_remote(&self) -> bool {
        !matches!(self, Self::Child(_))
    }
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
    greeting: Greeting,
    tools: Arc<SeenTools>,
    questions: Arc<Questions>,
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

impl Duplex {
    /// A session that has opened nothing. Everything it opens ends with its owner.
    pub(crate) fn new(owner: &Owner, dialler: Dialler, updates: Updates) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| {
            let that = this.clone();
            Self {
                shared: Arc::clone(&owner.shared),
                dialler,
                inbox: Arc::clone(&owner.inbox),
                ledger: owner.ledger(updates),
                current: SyncMutex::default(),
                making: Mutex::default(),
                greeting: Greeting::of(owner.handshake.as_ref()),
                tools: Arc::clone(&owner.tools),
                questions: Arc::clone(&owner.questions),
                failures: Arc::default(),
                stop: owner.stop.clone(),
                abandon: Arc::new(move |own| {
                    if let Some(duplex) = that.upgrade() {
                        duplex.tell_cancelled(own);
                    }
                }),
                this: this.clone(),
            }
        })
    }

    /// How the session began.
    pub(crate) fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// Makes the first pair of pipes, for this message.
    pub(crate) async fn open(&self, message: &Message) -> Result<(), Miss> {
        let greet = message.method() != Some(Method::Initialize);
        let opened = timeout(self.shared.timeout(), self.wire(greet)).await;
        opened.map_err(|_| self.late())?.map(drop)
    }

    /// Passes a message on.
    pub(crate) async fn send(&self, lane: Lane, message: Parcel<'_>) -> Result<Answer, Failure> {
        match message.kind() {
            Kind::Request => self.request(lane, message).await,
            Kind::Notification if message.method() == Some(Method::Cancelled) => {
                let cancelled = self.ledger.cancel(lane, &message);
                let Some((own, _)) = cancelled else { return Ok(Answer::Accepted) };
                self.reply(message.with_cancelled_id(&own.to_string())).await
            }
            Kind::Notification => {
                let deadline = self.shared.deadline();
                let wire = self.wire_until(deadline, true).await.map_err(Failure::unsent)?;
                let put = self.put(&wire, message.bytes().clone(), Some(message), deadline).await;
                put.map_err(Miss::into_failure)?;
                if message.method() == Some(Method::Initialized) {
                    self.greeting.initialized(&message);
                }
                Ok(Answer::Accepted)
            }
            Kind::Response | Kind::Error => self.reply(message.bytes().clone()).await,
        }
    }

    /// Ends what a session has in flight on pipes that others go on using.
    fn leave(self: &Arc<Self>, lane: Lane) {
        for own in self.ledger.leave(lane) {
            Arc::clone(self).tell_cancelled(own);
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
        let put = self.put(&wire, body, None, self.shared.deadline()).await;
        put.map_err(Miss::into_failure).map(|()| Answer::Accepted)
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
            match Box::pin(self.make(making.count, greet)).await {
                Ok(wire) => {
                    self.shared.reached();
                    making.done = true;
                    return Ok(wire);
                }
                Err(Miss::NotHere(failure)) => return Err(Miss::NotHere(failure)),
                Err(Miss::Failed(failure) | Miss::NotTaken(failure)) => {
                    drop(lock(&self.current).take());
                    if self.dialler.is_remote() {
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
            Dialler::Socket(client, target) => {
                crate::websocket::open(client, target, &end, stop).await?
            }
        };
        let wire = Arc::new(wire);
        *lock(&self.current) = Some(Arc::clone(&wire));
        if let Some(words) = self.greeting.words().filter(|_| greet) {
            let greeted = self.greet(&wire, words).await;
            self.inbox.lost_session(greeted.is_ok());
            greeted?;
            tracing::info!(server = self.shared.name(), "connected to the server again");
        }
        if self.dialler.is_remote() {
            self.watch(&end);
        }
        Ok(wire)
    }

    /// Repeats the client's opening words on a new wire.
    async fn greet(&self, wire: &Arc<Wire>, words: Words) -> Result<(), Failure> {
        let answer = self.ask_own(wire, &words.initialize).await?;
        if answer.kind() != Kind::Response {
            return Err(failure::not_again());
        }
        self.greeting.answered(&self.shared, &words.initialize, &answer)?;
        if let Some(initialized) = words.initialized {
            let put = self.put(wire, initialized, None, self.shared.deadline()).await;
            put.map_err(Miss::into_failure)?;
            self.compare_tools(Arc::clone(wire));
        }
        Ok(())
    }

    /// Looks in the background whether the server has other tools than before.
    fn compare_tools(&self, wire: Arc<Wire>) {
        let (this, tools, stop) = (self.this.clone(), Arc::clone(&self.tools), self.stop.clone());
        let compare = async move {
            let Some(duplex) = this.upgrade() else { return };
            tools.compare(async |list: &Message| duplex.ask_own(&wire, list).await).await;
        };
        tokio::spawn(async move { stop.run_until_cancelled(compare).await });
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
            if duplex.greeting.words().is_some()
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
        let silent = !self.dialler.is_remote()
            && lock(&self.current).as_ref().is_some_and(|wire| wire.is_silent());
        let late = if silent { failure::silent } else { failure::timeout };
        late(self.shared.timeout(), self.shared.name())
    }
}
