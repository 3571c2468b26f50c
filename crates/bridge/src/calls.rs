//! The requests of one client that are under way, by its ids, so that it can cancel them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use domain::{Answer, ErrorKind, Failure, MessageStream, lock};
use futures_util::{StreamExt, stream};
use protocol::{Message, RequestId};
use tokio_util::sync::CancellationToken;

/// The requests under way of one client.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<HashMap<RequestId, CancellationToken>>>);

impl Calls {
    /// Notes a request, which ends with `stop` at the latest.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` when one with its id is under way.
    pub(crate) fn enter(
        &self,
        request: &Message,
        stop: &CancellationToken,
    ) -> Result<UnderWay, Failure> {
        let Some(id) = request.request_id() else { return Ok(UnderWay::nameless(stop)) };
        let given_up = stop.child_token();
        let mut calls = lock(&self.0);
        if calls.contains_key(&id) {
            let text = format!("a request with id `{id}` is already in flight in this session");
            return Err(Failure::new(ErrorKind::InvalidRequest, text).unsent());
        }
        calls.insert(id.clone(), given_up.clone());
        Ok(UnderWay { given_up, named: Some((id, self.clone())) })
    }

    /// Gives up the request that a `notifications/cancelled` names, if it is under way.
    pub(crate) fn cancel(&self, cancellation: &Message) {
        let Some(id) = cancellation.cancelled_request_id() else { return };
        if let Some(call) = lock(&self.0).get(&id) {
            call.cancel();
        }
    }

    /// Whether none is under way.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

/// A request that may be given up before it is answered.
pub(crate) struct UnderWay {
    given_up: CancellationToken,
    named: Option<(RequestId, Calls)>,
}

impl UnderWay {
    /// One that nobody cancels by its id.
    pub(crate) fn nameless(stop: &CancellationToken) -> Self {
        Self { given_up: stop.child_token(), named: None }
    }

    /// What `answering` comes to, streams to their end, unless the request is given up before.
    ///
    /// # Errors
    ///
    /// Those of `answering`, and `Abandoned` when the request was given up.
    pub(crate) async fn answer(
        self,
        answering: impl Future<Output = Result<Answer, Failure>>,
    ) -> Result<Answer, Failure> {
        let answer = self.given_up.run_until_cancelled(answering).await;
        match answer.unwrap_or_else(|| Err(cancelled()))? {
            Answer::Stream(stream) => Ok(Answer::Stream(self.over(stream))),
            answer @ (Answer::Message(_) | Answer::Accepted) => Ok(answer),
        }
    }

    fn over(self, messages: MessageStream) -> MessageStream {
        Box::pin(stream::unfold(Some((self, messages)), |open| async {
            let (under_way, mut messages) = open?;
            match under_way.given_up.run_until_cancelled(messages.next()).await {
                Some(next) => next.map(|next| (next, Some((under_way, messages)))),
                None => Some((Err(cancelled()), None)),
            }
        }))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some((id, calls)) = &self.named {
            lock(&calls.0).remove(id);
        }
    }
}

fn cancelled() -> Failure {
    Failure::new(ErrorKind::Abandoned, "the request was cancelled")
}
