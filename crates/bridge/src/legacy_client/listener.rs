//! Notifications of a stateless server for one session: one `subscriptions/listen`, opened again
//! when it breaks or when the client subscribes to other resources.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::{Answer, ErrorKind, Failure, MessageStream, Permit};
use futures_util::StreamExt;
use protocol::{Kind, Message, Method, encode, meta, object};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::LegacyClient;
use crate::ask::{no_such_method, written};
use crate::envelope::without;
use crate::notifications::URIS;

/// How long the server may take to acknowledge what it is asked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits between two attempts: the first, doubled each time up to the last.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(60);

/// What one session listens for.
#[derive(Default)]
pub(super) struct Listener {
    wish: watch::Sender<Wish>,
    heard: watch::Sender<Heard>,
    running: AtomicBool,
    /// Whether a resumed session is to listen from its next message on.
    due: AtomicBool,
}

/// The resources subscribed to; numbered, so that it can be told which wish was granted.
#[derive(Clone, Default)]
struct Wish {
    number: u64,
    uris: BTreeSet<Arc<str>>,
}

/// The last wish that was put to the server, and why it was not granted if it was not.
#[derive(Clone, Default)]
struct Heard {
    number: u64,
    failure: Option<Failure>,
}

impl Listener {
    /// The session was opened elsewhere and listened there.
    pub(super) fn resume(&self) {
        self.due.store(true, Ordering::Relaxed);
    }

    /// Whether a resumed session is yet to listen; `true` once.
    pub(super) fn is_due(&self) -> bool {
        self.due.load(Ordering::Relaxed) && self.due.swap(false, Ordering::Relaxed)
    }

    /// Adds a resource, or removes it. Gives the number of the new wish, if it is one.
    pub(super) fn change(&self, uri: &str, add: bool) -> Result<Option<u64>, Failure> {
        let mut changed = Ok(None);
        self.wish.send_if_modified(|wish| {
            if add && !wish.uris.contains(uri) && wish.uris.len() >= URIS {
                let text = format!("the session subscribes to {URIS} resources already");
                changed = Err(Failure::new(ErrorKind::Overloaded, text).unsent());
                return false;
            }
            let new = if add { wish.uris.insert(uri.into()) } else { wish.uris.remove(uri) };
            if new {
                wish.number += 1;
                changed = Ok(Some(wish.number));
            }
            new
        });
        changed
    }

    /// The resources subscribed to.
    pub(super) fn uris(&self) -> BTreeSet<Arc<str>> {
        self.wish.borrow().uris.clone()
    }

    /// Waits until a wish, or a later one, was put to the server.
    async fn settled(&self, number: u64) -> Result<(), Failure> {
        let mut heard = self.heard.subscribe();
        let settled = timeout(PATIENCE, heard.wait_for(|heard| heard.number >= number)).await;
        let late =
            || Failure::new(ErrorKind::UpstreamTimeout, "the server did not subscribe in time");
        let settled = settled.map_err(|_| late())?.map_err(|_| late())?;
        settled.failure.clone().map_or(Ok(()), Err)
    }
}

impl LegacyClient {
    /// Listens from now on, under permits made from this one.
    pub(super) fn listen(self: &Arc<Self>, permit: &Permit) {
        if self.listener.running.swap(true, Ordering::Relaxed) {
            return;
        }
        let listening = Listening { client: Arc::clone(self), permit: permit.translated() };
        let stop = self.listening.clone();
        tokio::spawn(async move { stop.run_until_cancelled(listening.run()).await });
    }

    /// Subscribes to a resource, or ends that; returns when the server has agreed.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        permit: &Permit,
        message: &Message,
        add: bool,
    ) -> Result<(), Failure> {
        if !self.offer(permit).await?.has_subscriptions {
            return Err(no_such_method(&message.method_name(), "this server"));
        }
        let uri = message.uri().unwrap_or_default();
        let Some(number) = self.listener.change(&uri, add)? else { return Ok(()) };
        self.listen(permit);
        if !add {
            return Ok(());
        }
        let settled = self.listener.settled(number).await;
        if settled.is_err() {
            self.listener.change(&uri, false)?;
        }
        settled
    }
}

/// The task that listens for one session.
struct Listening {
    client: Arc<LegacyClient>,
    permit: Permit,
}

/// Why the stream of notifications is opened anew.
enum Turn {
    /// The client wants something else.
    Wish,
    /// It ended, after so long.
    End(Duration),
    /// There is no session any more.
    Over,
}

impl Listening {
    async fn run(self) {
        let listener = &self.client.listener;
        let mut wishes = listener.wish.subscribe();
        let mut current = None;
        let mut wait = FIRST_WAIT;
        // Whether notifications may have been missed.
        let mut missed = false;
        loop {
            let wish = wishes.borrow_and_update().clone();
            let opened = self.reopen(&wish, &mut current).await;
            let failure = opened.as_ref().err().cloned();
            listener.heard.send_replace(Heard { number: wish.number, failure });
            let turn = match opened {
                Ok(stream) => {
                    current = stream;
                    if std::mem::take(&mut missed) {
                        self.tell_changes().await;
                    }
                    self.read(&mut current, &mut wishes).await
                }
                Err(failure) => {
                    tracing::debug!(error = %failure, "the server's notifications cannot be had");
                    Turn::End(Duration::ZERO)
                }
            };
            match turn {
                Turn::Wish => continue,
                Turn::Over => return,
                Turn::End(lived) if lived >= LAST_WAIT => wait = FIRST_WAIT,
                Turn::End(_) => {}
            }
            missed = true;
            tokio::select! {
                () = sleep(wait) => {}
                _ = wishes.changed() => {}
            }
            wait = (wait * 2).min(LAST_WAIT);
        }
    }

    /// Opens a stream for that wish, and reads the one before until then: nothing falls between.
    async fn reopen(
        &self,
        wish: &Wish,
        current: &mut Option<MessageStream>,
    ) -> Result<Option<MessageStream>, Failure> {
        let opening = timeout(PATIENCE, self.open(wish));
        tokio::pin!(opening);
        loop {
            tokio::select! {
                opened = &mut opening => return opened.unwrap_or_else(|_| {
                    let text = "the server did not acknowledge the subscription in time";
                    Err(Failure::new(ErrorKind::UpstreamTimeout, text))
                }),
                piece = next(current) => match piece {
                    Some(Ok(message)) => self.hand_over(message).await,
                    Some(Err(_)) | None => *current = None,
                },
            }
        }
    }

    /// `None` when there is nothing to listen for.
    async fn open(&self, wish: &Wish) -> Result<Option<MessageStream>, Failure> {
        let offer = self.client.offer(&self.permit).await?;
        let Some(filter) = offer.filter(wish.uris.iter().map(|uri| &**uri)) else {
            return Ok(None);
        };
        let params = format!(r#"{{"notifications":{filter}}}"#);
        let listen = self.client.written(Method::SubscriptionsListen.as_str(), Some(&params))?;
        let refused = || {
            let text = "the server does not send the notifications that it declares";
            Failure::new(ErrorKind::UpstreamError, text)
        };
        let answer = self.client.raw.send(self.permit.translated(), listen).await?;
        let Answer::Stream(mut stream) = answer else { return Err(refused()) };
        let first = stream.next().await.ok_or_else(refused)??;
        match first.method() {
            Some(Method::SubscriptionsAcknowledged) => Ok(Some(stream)),
            _ => Err(refused()),
        }
    }

    async fn read(
        &self,
        current: &mut Option<MessageStream>,
        wishes: &mut watch::Receiver<Wish>,
    ) -> Turn {
        let since = Instant::now();
        loop {
            tokio::select! {
                changed = wishes.changed() => {
                    return if changed.is_ok() { Turn::Wish } else { Turn::Over };
                }
                piece = next(current) => match piece {
                    Some(Ok(message)) if message.kind() == Kind::Notification => {
                        self.hand_over(message).await;
                    }
                    Some(_) | None => {
                        *current = None;
                        return Turn::End(since.elapsed());
                    }
                },
            }
        }
    }

    /// Passes a notification to the client, without the name of a stream that it knows nothing of.
    async fn hand_over(&self, message: Message) {
        const WANTED: [Method; 4] = [
            Method::ToolsListChanged,
            Method::PromptsListChanged,
            Method::ResourcesListChanged,
            Method::ResourceUpdated,
        ];
        let Some(method) = message.method().filter(|method| WANTED.contains(method)) else {
            return;
        };
        if method == Method::ToolsListChanged {
            self.client.shared.tools().changed();
        }
        let params = message.params().map(|params| {
            let meta =
                message.meta().and_then(|meta| without(meta, |key| key == meta::SUBSCRIPTION_ID));
            object::edit(params, &[("_meta", meta.as_deref())])
        });
        if let Ok(message) = written(encode::notification(method.as_str(), params.as_deref())) {
            self.client.inbox.deliver(message).await;
        }
    }

    /// Tells the client to look again at every list whose changes it would have been told.
    async fn tell_changes(&self) {
        let changes = match self.client.offer(&self.permit).await {
            Ok(offer) => offer.changes(),
            Err(_) => return,
        };
        for method in changes {
            if let Ok(message) = written(encode::notification(method.as_str(), None)) {
                self.hand_over(message).await;
            }
        }
    }
}

/// The next message of a stream; waits for ever without one.
async fn next(stream: &mut Option<MessageStream>) -> Option<Result<Message, Failure>> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}
