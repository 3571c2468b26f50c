//! Decisions on what a stateless message carries besides itself.
//!
//! Until 2025-11-25 a server's question to the client, the client's answer and a subscription to a
//! resource are messages of their own, and rules are written for them as such. In 2026-07-28 they
//! travel inside others: questions in an `input_required` result, answers in the request that is
//! sent again, subscriptions in `subscriptions/listen`. Each is decided here under its old name, so
//! that one rule holds in both eras.

use std::sync::Arc;

use domain::{Decision, ErrorKind, Failure, Permit, PolicyInput, Stage};
use protocol::object::{self, Member};
use protocol::{Era, Message, Method, encode};

use crate::entry::Entry;
use crate::handle::Arrival;
use crate::subject::Subject;
use crate::{Caller, Router};

/// Largest number of questions in one result, of answers in one request, and of resources in one
/// subscription.
const COMPANIONS: usize = 1000;

/// How many decisions on one message are made before other tasks get their turn.
const AT_ONCE: usize = 64;

/// What clients are asked, by the member that an answer to it must have.
const ANSWERS: [(&str, Method); 3] = [
    ("action", Method::ElicitationCreate),
    ("role", Method::SamplingCreateMessage),
    ("roots", Method::RootsList),
];

/// Whether a request carries anything that is decided besides itself.
pub(crate) fn are_in(request: &Message) -> bool {
    request.method() == Some(Method::SubscriptionsListen) || answers_in(request).is_some()
}

fn answers_in(request: &Message) -> Option<&str> {
    request.input_responses().filter(|_| request.era() == Era::Modern)
}

/// Lets other tasks have their turn before some of the decisions on one message.
pub(crate) async fn give_way(index: usize) {
    if index % AT_ONCE == AT_ONCE - 1 {
        tokio::task::yield_now().await;
    }
}

impl Router {
    /// Decides what a request carries besides itself; gives the first denial that holds.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is too much.
    pub(crate) async fn decide_companions(
        &self,
        subject: &Subject<'_>,
        request: &Message,
        entry: &mut Entry,
    ) -> Result<Option<Decision>, Failure> {
        if let Some(answers) = answers_in(request)
            && let Some(denial) = self.decide_answers(subject, answers, entry).await?
        {
            return Ok(Some(denial));
        }
        if request.method() == Some(Method::SubscriptionsListen) {
            return self.decide_subscriptions(subject, request, entry).await;
        }
        Ok(None)
    }

    /// Decides the questions of an `input_required` result, each with a row of its own; gives the
    /// first denial that holds.
    ///
    /// # Errors
    ///
    /// The questions cannot be read, are too many, or cannot be recorded.
    pub(crate) async fn decide_questions(
        self: &Arc<Self>,
        subject: &Subject<'_>,
        response: &Message,
        entry: &mut Entry,
    ) -> Result<Option<Decision>, Failure> {
        let Some(questions) = response.input_requests() else { return Ok(None) };
        let unreadable = |detail: String| {
            let text = "the questions of the server could not be read";
            Failure::new(ErrorKind::UpstreamError, text).detail(detail)
        };
        let questions = object::members(questions)
            .map_err(|error| unreadable(format!("`inputRequests` of the server: {error}")))?;
        if questions.len() > COMPANIONS {
            return Err(unreadable(format!("{} `inputRequests` in one result", questions.len())));
        }
        let method = |question: &Member<'_>| {
            let method = object::get(question.value, "method").and_then(text_of);
            let key = &question.key;
            method
                .ok_or_else(|| unreadable(format!("`inputRequests` member `{key}` has no method")))
        };
        let methods = questions.iter().map(method).collect::<Result<Vec<String>, _>>()?;
        let mut permitted = Vec::with_capacity(questions.len());
        for (index, (question, method)) in questions.iter().zip(&methods).enumerate() {
            give_way(index).await;
            let params = object::get(question.value, "params");
            let mut own = self.open_question(subject, method, params).await?;
            let input = PolicyInput {
                params,
                size: question.value.len(),
                ..subject.companion_input(Stage::ServerRequest, method)
            };
            let decision = self.decide(&input, &mut own);
            if Permit::grant(&decision, self.options.mode).is_none() {
                // The client gets none of them.
                permitted.iter_mut().for_each(|own: &mut Entry| own.close(None));
                own.close(decision.denial());
                entry.decided(Stage::ServerRequest, &decision);
                entry.denied_as(method);
                return Ok(Some(decision));
            }
            permitted.push(own);
        }
        for mut own in permitted {
            own.forwarded(true);
            own.close(None);
        }
        Ok(None)
    }

    /// Opens the record of a question, as if the server had sent it by itself.
    async fn open_question(
        self: &Arc<Self>,
        subject: &Subject<'_>,
        method: &str,
        params: Option<&str>,
    ) -> Result<Entry, Failure> {
        let Arrival { session, caller, .. } = subject.arrival();
        let question = Message::parse(encode::request("0", method, params));
        let question = question.map_err(|error| {
            let text = "the questions of the server could not be read";
            Failure::new(ErrorKind::UpstreamError, text).detail(error)
        })?;
        let size = question.bytes().len();
        let caller = Caller { transport: caller.transport, source_ip: None, user_agent: None };
        let mut own =
            self.open_entry(&caller, size).await.map_err(|unrecorded| unrecorded.failure)?;
        own.describe(&question);
        own.belongs_to(session);
        own.served_in(session.connection().version());
        Ok(own)
    }

    /// Decides the client's answers to such questions, each under every method that it may answer:
    /// only the server knows which it was.
    async fn decide_answers(
        &self,
        subject: &Subject<'_>,
        answers: &str,
        entry: &mut Entry,
    ) -> Result<Option<Decision>, Failure> {
        let answers = object::members(answers).unwrap_or_default();
        if answers.len() > COMPANIONS {
            let text = format!("{} `inputResponses` at once; at most {COMPANIONS}", answers.len());
            return Err(Failure::new(ErrorKind::InvalidParams, text).unsent());
        }
        let inputs = answers.iter().flat_map(|answer| {
            answered_by(answer.value).into_iter().map(|method| PolicyInput {
                result: Some(answer.value),
                size: answer.value.len(),
                ..subject.companion_input(Stage::Response, method.as_str())
            })
        });
        Ok(self.first_denial(inputs, entry).await)
    }

    /// Decides the resources that `subscriptions/listen` asks to be told of, each as
    /// `resources/subscribe`; gives the first denial that holds.
    async fn decide_subscriptions(
        &self,
        subject: &Subject<'_>,
        request: &Message,
        entry: &mut Entry,
    ) -> Result<Option<Decision>, Failure> {
        let asked = request.notifications().and_then(|it| object::get(it, "resourceSubscriptions"));
        let Some(asked) = asked else { return Ok(None) };
        let uris: Vec<String> = serde_json::from_str(asked).map_err(|_| {
            let text = "`params.notifications.resourceSubscriptions` must be a list of URIs";
            Failure::new(ErrorKind::InvalidParams, text).unsent()
        })?;
        if uris.len() > COMPANIONS {
            let text = format!("{} subscriptions at once; at most {COMPANIONS}", uris.len());
            return Err(Failure::new(ErrorKind::InvalidParams, text).unsent());
        }
        let inputs = uris.iter().map(|uri| PolicyInput {
            method: Method::ResourcesSubscribe.as_str(),
            resource: Some(uri),
            ..subject.input(Stage::Request)
        });
        Ok(self.first_denial(inputs, entry).await)
    }

    /// Decides one input after the other; gives the first denial that holds.
    async fn first_denial<'a>(
        &self,
        inputs: impl Iterator<Item = PolicyInput<'a>> + Send,
        entry: &mut Entry,
    ) -> Option<Decision> {
        for (index, input) in inputs.enumerate() {
            give_way(index).await;
            let decision = self.decide(&input, entry);
            if Permit::grant(&decision, self.options.mode).is_none() {
                entry.denied_as(input.method);
                return Some(decision);
            }
        }
        None
    }
}

/// What a client's answer may be the answer to, for a reader that folds the case of keys: all that
/// clients are asked when nothing tells.
fn answered_by(answer: &str) -> Vec<Method> {
    let members = object::members(answer).unwrap_or_default();
    let has = |key: &str| members.iter().any(|member| member.key.eq_ignore_ascii_case(key));
    let told: Vec<Method> =
        ANSWERS.into_iter().filter(|(key, _)| has(key)).map(|(_, method)| method).collect();
    if told.is_empty() { ANSWERS.map(|(_, method)| method).to_vec() } else { told }
}

fn text_of(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}
