//! Decisions on what a stateless message carries besides itself.
//!
//! Until 2025-11-25 a server's question to the client, the client's answer and a subscription to a
//! resource are messages of their own, and rules are written for them as such. In 2026-07-28 they
//! travel inside others: questions in an `input_required` result, answers in the request that is
//! sent again, subscriptions in `subscriptions/listen`. Each is decided here under its old name, so
//! that one rule holds in both eras.

use std::sync::Arc;

use domain::{ErrorKind, Failure, Permit, PolicyInput, Stage};
use protocol::object::{self, Member};
use protocol::{Era, Message, Method, encode};

use crate::entry::Entry;
use crate::handle::Arrival;
use crate::ruling::{Ruling, Stop};
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
    /// Decides what a request carries besides itself; gives the answers in it as policy lets them pass, where that
    /// differs.
    ///
    /// # Errors
    ///
    /// One of them may not pass, cannot be read, or is too much.
    pub(crate) async fn decide_companions(
        &self,
        subject: &Subject<'_>,
        permit: &mut Permit,
        entry: &mut Entry,
    ) -> Result<Option<String>, Stop> {
        let request = &subject.arrival().message;
        let answers = match answers_in(request) {
            Some(answers) => self.decide_answers(subject, answers, entry).await?,
            None => None,
        };
        if request.method() == Some(Method::SubscriptionsListen) {
            self.decide_subscriptions(subject, permit, entry).await?;
        }
        Ok(answers)
    }

    /// Decides the questions of an `input_required` result, each with a row of its own.
    ///
    /// # Errors
    ///
    /// One may not pass, or the questions cannot be read, are too many, or cannot be recorded.
    pub(crate) async fn decide_questions(
        self: &Arc<Self>,
        subject: &Subject<'_>,
        response: &Message,
        entry: &mut Entry,
    ) -> Result<(), Stop> {
        let Some(questions) = response.input_requests() else { return Ok(()) };
        let unreadable = |detail: String| {
            let text = "the questions of the server could not be read";
            Failure::new(ErrorKind::UpstreamError, text).detail(detail)
        };
        let questions = object::members(questions)
            .map_err(|error| unreadable(format!("`inputRequests` of the server: {error}")))?;
        if questions.len() > COMPANIONS {
            let text = format!("{} `inputRequests` in one result", questions.len());
            return Err(unreadable(text).into());
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
            let session = &subject.arrival().session;
            let ruling = self.judge(&input, Some(session), &mut own).await;
            if ruling.permit().is_none() {
                // The client gets none of them.
                permitted.iter_mut().for_each(|own: &mut Entry| own.close(None));
                own.close(ruling.denial());
                entry.ruled(Stage::ServerRequest, &ruling);
                entry.denied_as(method);
                return Err(ruling.into());
            }
            permitted.push(own);
        }
        for mut own in permitted {
            own.forwarded(true);
            own.close(None);
        }
        Ok(())
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
        let caller = Caller::over(caller.transport);
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
        raw: &str,
        entry: &mut Entry,
    ) -> Result<Option<String>, Stop> {
        let answers = object::members(raw).unwrap_or_default();
        if answers.len() > COMPANIONS {
            let text = format!("{} `inputResponses` at once; at most {COMPANIONS}", answers.len());
            return Err(Failure::new(ErrorKind::InvalidParams, text).unsent().into());
        }
        let mut edits = Vec::new();
        for (index, answer) in answers.iter().enumerate() {
            let mut edited: Option<String> = None;
            for method in answered_by(answer.value) {
                give_way(index).await;
                let value = edited.as_deref().unwrap_or(answer.value);
                let input = PolicyInput {
                    result: Some(value),
                    size: value.len(),
                    ..subject.companion_input(Stage::Response, method.as_str())
                };
                let (ruling, _) = self.decide_companion(&input, subject, entry).await?;
                edited = ruling.edited.or(edited);
            }
            edits.extend(edited.map(|edited| (&*answer.key, edited)));
        }
        let edits: Vec<_> = edits.iter().map(|(key, value)| (*key, Some(value.as_str()))).collect();
        Ok((!edits.is_empty()).then(|| object::edit(raw, &edits)))
    }

    /// Decides the resources that `subscriptions/listen` asks to be told of, each as
    /// `resources/subscribe`.
    async fn decide_subscriptions(
        &self,
        subject: &Subject<'_>,
        permit: &mut Permit,
        entry: &mut Entry,
    ) -> Result<(), Stop> {
        let asked = subject.arrival().message.notifications();
        let asked = asked.and_then(|it| object::get(it, "resourceSubscriptions"));
        let Some(asked) = asked else { return Ok(()) };
        let uris: Vec<String> = serde_json::from_str(asked).map_err(|_| {
            let text = "`params.notifications.resourceSubscriptions` must be a list of URIs";
            Failure::new(ErrorKind::InvalidParams, text).unsent()
        })?;
        if uris.len() > COMPANIONS {
            let text = format!("{} subscriptions at once; at most {COMPANIONS}", uris.len());
            return Err(Failure::new(ErrorKind::InvalidParams, text).unsent().into());
        }
        for (index, uri) in uris.iter().enumerate() {
            give_way(index).await;
            let input = PolicyInput {
                method: Method::ResourcesSubscribe.as_str(),
                resource: Some(uri),
                ..subject.input(Stage::Request)
            };
            let (_, granted) = self.decide_companion(&input, subject, entry).await?;
            for (name, value) in granted.headers() {
                permit.set_header(name, value);
            }
        }
        Ok(())
    }

    /// Decides one of them.
    async fn decide_companion(
        &self,
        input: &PolicyInput<'_>,
        subject: &Subject<'_>,
        entry: &mut Entry,
    ) -> Result<(Ruling, Permit), Stop> {
        let ruling = self.judge(input, Some(&subject.arrival().session), entry).await;
        match ruling.permit() {
            Some(permit) => Ok((ruling, permit)),
            None => {
                entry.denied_as(input.method);
                Err(ruling.into())
            }
        }
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
