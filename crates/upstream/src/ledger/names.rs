//! What the client calls its request, besides the id: the progress token, and the subscription id
//! of a listen request. The server knows both as our id.

use bytes::Bytes;
use protocol::{Kind, Message, Method, Rewrite, object};

pub(super) use protocol::meta::SUBSCRIPTION_ID as SUBSCRIPTION;

/// The client's names, as it wrote them.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) progress_token: Option<Box<str>>,
    /// The id of a `subscriptions/listen`.
    pub(super) subscription: Option<Box<str>>,
}

impl Names {
    /// The names in a request.
    pub(super) fn of(request: &Message) -> Self {
        let listens = request.method() == Some(Method::SubscriptionsListen);
        Self {
            progress_token: request.progress_token().map(Into::into),
            subscription: request.id().filter(|_| listens).map(Into::into),
        }
    }

    /// Whether no message of the server but the answer belongs to the request by name.
    pub(super) fn is_empty(&self) -> bool {
        self.progress_token.is_none() && self.subscription.is_none()
    }

    /// Whether a notification that names the request does so by a name that the request gave.
    pub(super) fn know(&self, notification: &Message) -> bool {
        if notification.method() == Some(Method::Progress) {
            self.progress_token.is_some()
        } else {
            self.subscription.is_some()
        }
    }

    /// A notification of the server under these names.
    pub(super) fn put_back(&self, notification: Message) -> Message {
        let subscription = self.subscription.as_deref();
        let names = Rewrite {
            progress_token: self.progress_token.as_deref(),
            cancelled_id: subscription,
            subscription_id: subscription,
            ..Rewrite::default()
        };
        read_again(notification.rewrite(&names), notification)
    }

    /// The answer under these names: the one that ends a subscription repeats its id.
    pub(super) fn put_back_in_answer(&self, answer: Message) -> Message {
        let (Some(subscription), Some(result)) = (&self.subscription, answer.result()) else {
            return answer;
        };
        let Some(meta) = object::get(result, "_meta") else { return answer };
        if object::get(meta, SUBSCRIPTION).is_none() {
            return answer;
        }
        let meta = object::edit(meta, &[(SUBSCRIPTION, Some(subscription))]);
        let result = object::edit(result, &[("_meta", Some(&meta))]);
        let renamed = Rewrite { result: Some(&result), ..Rewrite::default() };
        read_again(answer.rewrite(&renamed), answer)
    }
}

/// Valid names in the place of valid names leave a message valid.
fn read_again(body: Bytes, before: Message) -> Message {
    Message::parse(body).unwrap_or(before)
}

/// The name of a request of ours by which a notification of the server belongs to it.
pub(super) fn of_request(message: &Message) -> Option<&str> {
    // In a request of the server, these are the server's own names.
    let method = message.method().filter(|_| message.kind() == Kind::Notification)?;
    if method == Method::Progress {
        message.progress_token()
    } else if method == Method::Cancelled {
        message.cancelled_id()
    } else {
        message.subscription_id()
    }
}

/// A request under our id, which is the progress token too if it has one.
pub(super) fn under(own: u64, request: &Message) -> Bytes {
    let own = own.to_string();
    let names = Rewrite { id: Some(&own), progress_token: Some(&own), ..Rewrite::default() };
    request.rewrite(&names)
}
