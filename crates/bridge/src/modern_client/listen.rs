//! `subscriptions/listen` of stateless clients: notifications that come outside of any call, for
//! those who asked for them. Resources are subscribed to at the server as long as anybody listens.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use domain::{Answer, ErrorKind, Failure, lock};
use futures_util::{StreamExt, stream};
use protocol::{Message, Method, encode, meta, object};
use tokio::sync::mpsc;

use super::session::{Lease, LegacySession};
use crate::ask::written;
use crate::notifications::{self, LISTS, List, URIS, quoted};

/// Streams that one session at the server feeds.
const LISTENERS: usize = 1_024;

/// Notifications that may wait for the reader of a stream before it ends.
const QUEUE: usize = 256;

/// Those who listen on one session.
#[derive(Default)]
pub(super) struct Listeners {
    table: Mutex<Table>,
    /// How many listen for each resource that is subscribed to at the server; held while the server
    /// is asked, so that both agree.
    subscribed: tokio::sync::Mutex<HashMap<String, usize>>,
}

#[derive(Default)]
struct Table {
    last: u64,
    all: HashMap<u64, Listener>,
}

struct Listener {
    /// The id of the request, raw JSON.
    id: String,
    lists: Vec<Method>,
    uris: HashSet<String>,
    queue: mpsc::Sender<Message>,
    /// Whether the stream ends because its reader was too slow.
    slow: Arc<AtomicBool>,
}

impl Listeners {
    /// Passes a notification to those who asked for it. Whoever does not read loses the stream, and
    /// knows by that.
    pub(super) fn tell(&self, message: &Message) {
        let Some(method) = message.method() else { return };
        lock(&self.table).all.retain(|_, listener| {
            if !listener.wants(method, message) {
                return true;
            }
            let Ok(tagged) = tagged(message, &listener.id) else { return true };
            let told = listener.queue.try_send(tagged).is_ok();
            if !told {
                tracing::debug!("a stream of notifications was not read fast enough and ends");
                listener.slow.store(true, Ordering::Relaxed);
            }
            told
        });
    }

    /// Ends all streams.
    pub(super) fn end(&self) {
        lock(&self.table).all.clear();
    }

    /// Subscribes again to what the server has forgotten, and has everybody look again at the lists:
    /// changes may have been missed. Streams that the server does not serve any more end.
    pub(super) async fn begin_again(&self, session: &LegacySession) {
        let subscribed = self.subscribed.lock().await;
        for uri in subscribed.keys() {
            if let Err(failure) = session.ask(Method::ResourcesSubscribe, &named(uri)).await {
                tracing::debug!(error = %failure, "not subscribed to a resource again");
                lock(&self.table).all.retain(|_, listener| !listener.uris.contains(uri));
            }
        }
        drop(subscribed);
        for list in LISTS {
            if let Ok(changed) = written(encode::notification(list.changed.as_str(), None)) {
                self.tell(&changed);
            }
        }
    }

    fn add(&self, listener: Listener) -> Result<u64, Failure> {
        let mut table = lock(&self.table);
        if table.all.len() >= LISTENERS {
            let text = format!("{LISTENERS} streams of notifications are open already");
            return Err(Failure::new(ErrorKind::Overloaded, text).unsent());
        }
        table.last += 1;
        let key = table.last;
        table.all.insert(key, listener);
        Ok(key)
    }
}

impl Listener {
    fn wants(&self, method: Method, message: &Message) -> bool {
        if method != Method::ResourceUpdated {
            return self.lists.contains(&method);
        }
        let uri = message.uri().unwrap_or_default();
        // The server may name a part of what was subscribed to.
        let part_of = |whole: &String| {
            let rest = uri.strip_prefix(whole.as_str());
            rest.is_some_and(|rest| whole.ends_with('/') || rest.starts_with('/'))
        };
        self.uris.contains(&*uri) || self.uris.iter().any(part_of)
    }
}

/// One stream. Dropping it ends what only it asked for.
struct Listening {
    lease: Lease,
    key: u64,
    uris: Vec<String>,
}

/// Opens a stream on a session that is open.
///
/// # Errors
///
/// `InvalidParams` when too many resources are asked for or one is no URI; `Overloaded` when too
/// many streams are open.
pub(super) async fn listen(lease: Lease, message: &Message) -> Result<Answer, Failure> {
    let filter = message.notifications().unwrap_or("{}");
    let id = message.id().unwrap_or("null").to_owned();
    let uris = uris(filter)?;
    let (queue, received) = mpsc::channel(QUEUE);
    let slow = Arc::new(AtomicBool::new(false));
    let lists = LISTS.into_iter().filter(|list| {
        let offered = lease.session().offer();
        object::get(filter, list.member) == Some("true")
            && offered.is_some_and(|offer| offer.declares(list.feature, "listChanged"))
    });
    let lists: Vec<List> = lists.collect();
    let listener = Listener {
        id: id.clone(),
        lists: lists.iter().map(|list| list.changed).collect(),
        uris: uris.iter().cloned().collect(),
        queue,
        slow: Arc::clone(&slow),
    };
    let key = lease.session().listeners().add(listener)?;
    let mut listening = Listening { lease, key, uris: Vec::new() };
    listening.subscribe(uris).await;
    let acknowledged = listening.acknowledged(&id, &lists)?;
    let rest = stream::unfold(Some((received, listening)), move |open| {
        let (id, slow) = (id.clone(), Arc::clone(&slow));
        async move {
            let (mut received, listening) = open?;
            match received.recv().await {
                Some(message) => Some((Ok(message), Some((received, listening)))),
                None => Some((ending(&id, slow.load(Ordering::Relaxed)), None)),
            }
        }
    });
    Ok(Answer::Stream(Box::pin(stream::iter([Ok(acknowledged)]).chain(rest))))
}

impl Listening {
    /// Subscribes at the server to what nobody listens for yet. What the server refuses is not
    /// granted.
    async fn subscribe(&mut self, uris: Vec<String>) {
        let session = Arc::clone(self.lease.session());
        if !session.offer().is_some_and(|offer| offer.declares("resources", "subscribe")) {
            return;
        }
        for uri in uris {
            let mut subscribed = session.listeners().subscribed.lock().await;
            if !subscribed.contains_key(&uri)
                && let Err(failure) = session.ask(Method::ResourcesSubscribe, &named(&uri)).await
            {
                tracing::debug!(error = %failure, "not subscribed to a resource");
                continue;
            }
            *subscribed.entry(uri.clone()).or_default() += 1;
            self.uris.push(uri);
        }
    }

    fn acknowledged(&self, id: &str, lists: &[List]) -> Result<Message, Failure> {
        let granted = notifications::filter(lists, self.uris.iter().map(String::as_str));
        let (key, granted) = (meta::SUBSCRIPTION_ID, granted.as_deref().unwrap_or("{}"));
        let params = format!(r#"{{"_meta":{{"{key}":{id}}},"notifications":{granted}}}"#);
        let method = Method::SubscriptionsAcknowledged.as_str();
        written(encode::notification(method, Some(&params)))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let session = Arc::clone(self.lease.session());
        lock(&session.listeners().table).all.remove(&self.key);
        let uris = std::mem::take(&mut self.uris);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if uris.is_empty() {
            return;
        }
        runtime.spawn(async move {
            for uri in uris {
                let mut subscribed = session.listeners().subscribed.lock().await;
                let Some(count) = subscribed.get_mut(&uri) else { continue };
                *count -= 1;
                if *count > 0 {
                    continue;
                }
                subscribed.remove(&uri);
                let asked = session.ask(Method::ResourcesUnsubscribe, &named(&uri)).await;
                if let Err(failure) = asked {
                    tracing::debug!(error = %failure, "a subscription was not ended");
                }
            }
        });
    }
}

/// The resources of a filter, each once.
fn uris(filter: &str) -> Result<Vec<String>, Failure> {
    let invalid = |text: String| Failure::new(ErrorKind::InvalidParams, text).unsent();
    let Some(wished) = object::get(filter, "resourceSubscriptions") else { return Ok(Vec::new()) };
    let wished = object::elements(wished)
        .map_err(|_| invalid("`resourceSubscriptions` must be an array".to_owned()))?;
    if wished.len() > URIS {
        return Err(invalid(format!("`resourceSubscriptions` has more than {URIS} entries")));
    }
    let (mut uris, mut seen) = (Vec::with_capacity(wished.len()), HashSet::new());
    for uri in wished {
        let read = Message::parse(subscription(uri));
        let uri = read.ok().and_then(|message| message.uri().map(|uri| uri.into_owned()));
        let uri =
            uri.ok_or_else(|| invalid("`resourceSubscriptions` must hold URIs".to_owned()))?;
        if seen.insert(uri.clone()) {
            uris.push(uri);
        }
    }
    Ok(uris)
}

/// A request that names a resource (raw JSON), which is how the name is checked and read.
fn subscription(uri: &str) -> Bytes {
    let params = object::edit("{}", &[("uri", Some(uri))]);
    encode::request("0", Method::ResourcesSubscribe.as_str(), Some(&params))
}

/// `params` that name a resource.
fn named(uri: &str) -> String {
    object::edit("{}", &[("uri", Some(&quoted(uri)))])
}

/// A notification on the stream of the request with that id.
fn tagged(message: &Message, id: &str) -> Result<Message, Failure> {
    let meta = object::edit(message.meta().unwrap_or("{}"), &[(meta::SUBSCRIPTION_ID, Some(id))]);
    let params = object::edit(message.params().unwrap_or("{}"), &[("_meta", Some(&meta))]);
    written(encode::notification(&message.method_name(), Some(&params)))
}

/// How a stream ends that its client did not end.
fn ending(id: &str, slow: bool) -> Result<Message, Failure> {
    if slow {
        let text = "the notifications were not read fast enough: listen again";
        return Err(Failure::new(ErrorKind::Overloaded, text));
    }
    let key = meta::SUBSCRIPTION_ID;
    let result = format!(r#"{{"resultType":"complete","_meta":{{"{key}":{id}}}}}"#);
    written(encode::result_reply(id, &result))
}
