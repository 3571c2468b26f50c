//! Input that a stateless server asks for (`input_required`), asked of a client with a session: one
//! round of questions and their answers.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::{ErrorKind, Failure, lock};
use protocol::{Kind, Message, object};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::{LegacyClient, QUESTIONS, ROUND, Reply};
use crate::capabilities::{self, Unable};

/// One round: what is asked, and what was answered.
pub(super) struct Round {
    client: Arc<LegacyClient>,
    unasked: VecDeque<Message>,
    waiting: Vec<Question>,
    /// `requestState`, a JSON string.
    state: Option<String>,
    deadline: Instant,
}

struct Question {
    id: u64,
    key: String,
    method: String,
    answer: oneshot::Receiver<Reply>,
}

/// What the retry says: members of `params`, raw JSON.
pub(super) struct Given {
    pub(super) responses: Option<String>,
    pub(super) state: Option<String>,
}

impl Round {
    /// Reads what the server asks for.
    ///
    /// # Errors
    ///
    /// `UpstreamError` when it asks for too much, or for what this revision does not let it ask;
    /// `MissingCapability` when the client did not declare what is asked.
    pub(super) fn open(client: &Arc<LegacyClient>, required: &Message) -> Result<Self, Failure> {
        let mut round = Self {
            client: Arc::clone(client),
            unasked: VecDeque::new(),
            waiting: Vec::new(),
            state: required
                .result()
                .and_then(|result| object::get(result, "requestState").map(str::to_owned)),
            deadline: Instant::now() + ROUND,
        };
        let requests = required.input_requests().unwrap_or("{}");
        let requests =
            object::members(requests).map_err(|error| wrong("cannot be read").detail(error))?;
        if requests.len() > QUESTIONS {
            return Err(wrong(&format!("are more than {QUESTIONS}")));
        }
        for request in requests {
            round.add(&request.key, request.value)?;
        }
        Ok(round)
    }

    fn add(&mut self, key: &str, request: &str) -> Result<(), Failure> {
        let id = self.client.id();
        let parts = ["method", "params"].map(|part| {
            let value = object::get(request, part);
            value.map(|value| format!(r#","{part}":{value}"#)).unwrap_or_default()
        });
        let [method, params] = parts;
        let question =
            Message::parse(format!(r#"{{"jsonrpc":"2.0","id":{id}{method}{params}}}"#).into())
                .map_err(|error| wrong("hold one that is not valid").detail(error))?;
        let asks = question.method_name().into_owned();
        capabilities::check(self.client.envelope.capabilities(), &question).map_err(|unable| {
            let Unable::Undeclared(needed) = unable else {
                return wrong("hold a method that no client answers");
            };
            let text = format!("the server asks for `{asks}`, which the client did not declare");
            Failure::new(ErrorKind::MissingCapability, text)
                .data(format!(r#"{{"requiredCapabilities":{needed}}}"#))
        })?;
        let (sender, answer) = oneshot::channel();
        lock(&self.client.questions).insert(id, sender);
        self.waiting.push(Question { id, key: key.to_owned(), method: asks, answer });
        self.unasked.push_back(question);
        Ok(())
    }

    /// The next question to the client, as a request of the server.
    pub(super) fn question(&mut self) -> Option<Message> {
        self.unasked.pop_front()
    }

    /// Waits for every answer.
    ///
    /// # Errors
    ///
    /// `Abandoned` when the client does not answer in time; the policy's denial of a question;
    /// `NotBridged` when the client answers with an error, for which a retry has no place.
    pub(super) async fn given(&mut self) -> Result<Given, Failure> {
        let mut responses = Vec::with_capacity(self.waiting.len());
        for question in &mut self.waiting {
            let answer = timeout_at(self.deadline, &mut question.answer).await;
            let answer = answer.ok().and_then(Result::ok).ok_or_else(|| {
                let text = format!("the client did not answer `{}` in time", question.method);
                Failure::new(ErrorKind::Abandoned, text)
            })??;
            let Some(result) = answer.result().filter(|_| answer.kind() == Kind::Response) else {
                let text = format!(
                    "the client answered `{}` with an error, which MCP 2026-07-28 cannot pass on",
                    question.method
                );
                return Err(Failure::new(ErrorKind::NotBridged, text));
            };
            responses.push((&*question.key, Some(result.to_owned())));
        }
        let edits: Vec<(&str, Option<&str>)> =
            responses.iter().map(|(key, result)| (*key, result.as_deref())).collect();
        Ok(Given {
            responses: (!edits.is_empty()).then(|| object::edit("{}", &edits)),
            state: self.state.take(),
        })
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        let mut questions = lock(&self.client.questions);
        for question in &self.waiting {
            questions.remove(&question.id);
        }
    }
}

fn wrong(what: &str) -> Failure {
    let text = format!("the server's `inputRequests` {what}");
    Failure::new(ErrorKind::UpstreamError, text)
}
