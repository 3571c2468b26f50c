//! Whether a server that was initialised again still has the tools that its session knows.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};

use domain::{Answer, Failure, Inbox, lock};
use futures_util::StreamExt;
use protocol::{Kind, Message, Method, encode, object};

/// The tools that a session saw last: the first page of the list, as a digest.
pub(crate) struct SeenTools {
    hasher: RandomState,
    digest: Mutex<Option<u64>>,
    inbox: Arc<dyn Inbox>,
}

impl SeenTools {
    /// None yet; `inbox` learns of changes.
    pub(crate) fn new(inbox: &Arc<dyn Inbox>) -> Arc<Self> {
        let (hasher, digest) = (RandomState::new(), Mutex::default());
        Arc::new(Self { hasher, digest, inbox: Arc::clone(inbox) })
    }

    /// Looks at the answer to `request` on its way to the client.
    pub(crate) fn watch(self: &Arc<Self>, request: &Message, answer: Answer) -> Answer {
        if !asks_first_page(request) {
            return answer;
        }
        match answer {
            Answer::Stream(messages) => {
                let seen = Arc::clone(self);
                let messages = messages.inspect(move |message| {
                    if let Ok(message) = message {
                        seen.note(message);
                    }
                });
                Answer::Stream(Box::pin(messages))
            }
            Answer::Message(message) => {
                self.note(&message);
                Answer::Message(message)
            }
            Answer::Accepted => Answer::Accepted,
        }
    }

    /// Asks a server that was initialised again, and tells the client if the tools are others.
    pub(crate) async fn compare(
        &self,
        ask: impl AsyncFnOnce(&Message) -> Result<Message, Failure>,
    ) {
        let Some(before) = *lock(&self.digest) else { return };
        // The id is replaced on the way.
        let list = encode::request("0", Method::ToolsList.as_str(), None);
        let Ok(list) = Message::parse(list) else { return };
        match ask(&list).await {
            Ok(answer) => {
                self.note(&answer);
                if *lock(&self.digest) != Some(before) {
                    let name = Method::ToolsListChanged.as_str();
                    if let Ok(changed) = Message::parse(encode::notification(name, None)) {
                        self.inbox.deliver(changed).await;
                    }
                }
            }
            Err(failure) => tracing::debug!(error = %failure, "the tools were not compared"),
        }
    }

    fn note(&self, message: &Message) {
        if let Some(result) = message.result().filter(|_| message.kind() == Kind::Response) {
            *lock(&self.digest) = Some(self.hasher.hash_one(result));
        }
    }
}

fn asks_first_page(request: &Message) -> bool {
    request.method() == Some(Method::ToolsList)
        && request.params().is_none_or(|params| object::get(params, "cursor").is_none())
}
