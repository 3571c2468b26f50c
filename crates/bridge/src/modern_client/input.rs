//! What the server asks while it answers a call, as input that the call requires (2026-07-28,
//! "Multi Round-Trip Requests").

use domain::{ErrorKind, Failure};
use protocol::{Message, Method, encode, meta, object};
use tokio::time::{Duration, Instant};

use crate::ask::written;
use crate::capabilities::{self, Unable};
use crate::envelope::without;

/// Questions that may wait for the client at once.
const QUESTIONS: usize = 64;

/// How long it is waited for further questions after the first: those that a server asks together
/// reach the client together.
const SETTLE: Duration = Duration::from_millis(20);

/// What the client is, or will be, asked.
#[derive(Default)]
pub(super) struct Round {
    asked: u64,
    open: Vec<Question>,
    /// When the questions so far go to the client.
    settled: Option<Instant>,
}

struct Question {
    /// As the server asks it.
    request: Message,
    /// Whether the server waits for the answer; else it wants the call to be made again.
    waits: bool,
    key: String,
}

impl Round {
    /// Adds a request of the server, if a client that declared `capabilities` can be asked it.
    ///
    /// # Errors
    ///
    /// Why the server is refused.
    pub(super) fn ask(&mut self, capabilities: &str, request: &Message) -> Result<(), Failure> {
        self.add(capabilities, request.clone(), true)
    }

    /// Adds what has to happen before the call is made again (error -32042 of 2025-11-25): visits of
    /// URLs, an array as raw JSON. Gives whether there are any.
    ///
    /// # Errors
    ///
    /// `MissingCapability` when the client cannot be asked to.
    pub(super) fn ask_for_visits(
        &mut self,
        capabilities: &str,
        elicitations: &str,
    ) -> Result<bool, Failure> {
        for visit in object::elements(elicitations).unwrap_or_default() {
            let params = object::edit(visit, &[("mode", Some(r#""url""#))]);
            let method = Method::ElicitationCreate.as_str();
            let request = Message::parse(encode::request("0", method, Some(&params)));
            let request = request.map_err(|error| {
                let text = "the server names no URLs to visit";
                Failure::new(ErrorKind::UpstreamError, text).detail(error)
            })?;
            self.add(capabilities, request, false).map_err(|refused| {
                let required = r#"{"requiredCapabilities":{"elicitation":{"url":{}}}}"#;
                Failure::new(ErrorKind::MissingCapability, refused.message).data(required)
            })?;
        }
        Ok(!self.is_empty())
    }

    fn add(&mut self, capabilities: &str, request: Message, waits: bool) -> Result<(), Failure> {
        let method = request.method_name();
        capabilities::check(capabilities, &request).map_err(|unable| {
            let text = match unable {
                Unable::Unanswered => format!("`{method}` is not asked of clients"),
                Unable::Undeclared(needed) => {
                    format!("the client did not declare what `{method}` needs: {needed}")
                }
            };
            Failure::new(ErrorKind::MethodNotFound, text)
        })?;
        if self.open.len() >= QUESTIONS {
            let text = format!("{QUESTIONS} requests wait for the client already");
            return Err(Failure::new(ErrorKind::Overloaded, text));
        }
        self.asked += 1;
        let key = format!("{}_{}", method.replace('/', "_"), self.asked);
        self.open.push(Question { request, waits, key });
        self.settle();
        Ok(())
    }

    /// Waits for further questions from now on.
    fn settle(&mut self) {
        self.settled.get_or_insert_with(|| Instant::now() + SETTLE);
    }

    /// When the client is to be asked; `None` when there is nothing to ask.
    pub(super) fn settled(&self) -> Option<Instant> {
        self.settled.filter(|_| !self.is_empty())
    }

    /// Whether nothing waits for the client.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The requests of the server that it waits for answers to.
    pub(super) fn awaited(&self) -> impl Iterator<Item = &Message> {
        self.open.iter().filter(|question| question.waits).map(|question| &question.request)
    }

    /// The server no longer waits for that answer.
    pub(super) fn withdraw(&mut self, cancellation: &Message) {
        let cancelled = cancellation.cancelled_request_id();
        self.open.retain(|question| !question.waits || question.request.request_id() != cancelled);
        if self.is_empty() {
            self.settled = None;
        }
    }

    /// The response that asks the client, with what brings it back to this call.
    ///
    /// # Errors
    ///
    /// `Internal` when it is not valid MCP, which is a defect.
    pub(super) fn required(
        &self,
        id: &str,
        state: &str,
        info: Option<&str>,
    ) -> Result<Message, Failure> {
        let entries: Vec<String> = self.open.iter().map(Question::entry).collect();
        let requests = self.open.iter().zip(&entries);
        let requests = requests.map(|(question, entry)| (&*question.key, Some(&**entry)));
        let requests = object::edit("{}", &requests.collect::<Vec<_>>());
        let meta = info.map(|info| object::edit("{}", &[(meta::SERVER_INFO, Some(info))]));
        let result = format!(
            r#"{{"resultType":"input_required","inputRequests":{requests},"requestState":"{state}"}}"#
        );
        written(encode::result_reply(id, &object::edit(&result, &[("_meta", meta.as_deref())])))
    }

    /// Whether the answers (`inputResponses`, raw JSON) can be passed on.
    ///
    /// # Errors
    ///
    /// `InvalidParams` when one is no object.
    pub(super) fn check(&self, responses: Option<&str>) -> Result<(), Failure> {
        let given = |question: &Question| object::get(responses?, &question.key);
        match self.open.iter().find(|one| given(one).is_some_and(|it| !it.starts_with('{'))) {
            None => Ok(()),
            Some(question) => {
                let text = format!("`params.inputResponses.{}` must be an object", question.key);
                Err(Failure::new(ErrorKind::InvalidParams, text).unsent())
            }
        }
    }

    /// Takes the answers: responses for the server, and whether the call has to be made again. What
    /// is not answered stays, and is asked again.
    ///
    /// # Errors
    ///
    /// `Internal` when a response is not valid MCP, which is a defect.
    pub(super) fn answer(
        &mut self,
        responses: Option<&str>,
    ) -> Result<(Vec<Message>, bool), Failure> {
        let local = |open: &[Question]| open.iter().any(|question| !question.waits);
        let visits = local(&self.open);
        let mut replies = Vec::new();
        for question in std::mem::take(&mut self.open) {
            let given = responses.and_then(|all| object::get(all, &question.key));
            match given {
                None => self.open.push(question),
                Some(given) if question.waits => {
                    let id = question.request.id().unwrap_or("null");
                    replies.push(written(encode::result_reply(id, given))?);
                }
                Some(_) => {}
            }
        }
        self.settled = None;
        if !self.is_empty() {
            self.settle();
        }
        Ok((replies, visits && !local(&self.open)))
    }
}

impl Question {
    /// The member of `inputRequests`, without what no stateless client does: report progress and run
    /// tasks.
    fn entry(&self) -> String {
        let request = &self.request;
        let params = request.params().map(|params| {
            let meta = request.meta().and_then(|meta| without(meta, |key| key == "progressToken"));
            object::edit(params, &[("task", None), ("_meta", meta.as_deref())])
        });
        let mut method = String::new();
        encode::string(&mut method, &request.method_name());
        object::edit("{}", &[("method", Some(&method)), ("params", params.as_deref())])
    }
}
