//! One request of a client with a session, at a stateless server: sent, answered by what it needs
//! (headers the server wants otherwise, input of the client), sent again, until it is complete.

use std::sync::Arc;

use domain::{Answer, ErrorKind, Failure, MessageStream, Permit, lock};
use futures_util::{StreamExt, stream};
use protocol::{Kind, Message, Method, ParamHeader, object};

use super::input::Round;
use super::{LegacyClient, ROUNDS, answer};
use crate::ask::{self, broke_off};

const HEADER_MISMATCH: i64 = ErrorKind::HeaderMismatch.code() as i64;

/// A request under way. Dropping it gives it up, here and at the server.
pub(super) struct Call {
    client: Arc<LegacyClient>,
    permit: Permit,
    request: Message,
    /// `params` as they are sent next.
    params: String,
    headers: Arc<[ParamHeader]>,
    /// Whether the tools were listed again for this call.
    listed_again: bool,
    rounds: usize,
    stage: Stage,
}

enum Stage {
    /// The request goes to the server next.
    Sending,
    /// The server is answering.
    Reading(MessageStream),
    /// The client is asked.
    Asking(Round),
    /// The answer was given.
    Done,
}

impl Call {
    /// A request that nothing was done for yet.
    pub(super) fn new(client: &Arc<LegacyClient>, permit: Permit, request: Message) -> Self {
        let level = lock(&client.level).json();
        Self {
            client: Arc::clone(client),
            permit,
            params: client.envelope.around(request.params(), request.meta(), Some(&level)),
            request,
            headers: Arc::default(),
            listed_again: false,
            rounds: 0,
            stage: Stage::Sending,
        }
    }

    /// Sends the request. An answer that is complete at once comes back whole.
    ///
    /// # Errors
    ///
    /// As [`domain::Connection::send`].
    pub(super) async fn start(mut self) -> Result<Answer, Failure> {
        self.headers = self.client.headers(&self.permit, &self.request, false).await;
        while matches!(self.stage, Stage::Sending) {
            if let Some(answer) = self.advance().await? {
                return Ok(Answer::Message(answer));
            }
        }
        let pieces = stream::unfold(self, |mut call| async {
            let piece = call.next().await?;
            Some((piece, call))
        });
        Ok(Answer::Stream(Box::pin(pieces)))
    }

    async fn next(&mut self) -> Option<Result<Message, Failure>> {
        while !matches!(self.stage, Stage::Done) {
            if let Some(piece) = self.advance().await.transpose() {
                if piece.is_err() {
                    self.stage = Stage::Done;
                }
                return Some(piece);
            }
        }
        None
    }

    /// One step: a message for the client, or none yet.
    async fn advance(&mut self) -> Result<Option<Message>, Failure> {
        match &mut self.stage {
            Stage::Sending => match self.send().await? {
                Answer::Message(response) => self.conclude(response).await,
                Answer::Stream(stream) => {
                    self.stage = Stage::Reading(stream);
                    Ok(None)
                }
                Answer::Accepted => Err(broke_off()),
            },
            Stage::Reading(stream) => {
                let message = stream.next().await.ok_or_else(broke_off)??;
                match message.kind() {
                    Kind::Notification => Ok(Some(message)),
                    // 2026-07-28 has no requests of the server.
                    Kind::Request => Ok(None),
                    Kind::Response | Kind::Error => self.conclude(message).await,
                }
            }
            Stage::Asking(round) => {
                if let Some(question) = round.question() {
                    return Ok(Some(question));
                }
                let given = round.given().await?;
                let edits = [
                    ("inputResponses", given.responses.as_deref()),
                    ("requestState", given.state.as_deref()),
                ];
                self.params = object::edit(&self.params, &edits);
                self.stage = Stage::Sending;
                Ok(None)
            }
            Stage::Done => Ok(None),
        }
    }

    async fn send(&mut self) -> Result<Answer, Failure> {
        let method = self.request.method_name();
        let message = ask::request(self.client.id(), &method, &self.params)?;
        let message = message.with_param_headers(Arc::clone(&self.headers));
        self.client.raw.send(self.permit.translated(), message).await
    }

    /// What a response means: the answer of the call, or that it goes on.
    async fn conclude(&mut self, response: Message) -> Result<Option<Message>, Failure> {
        let method = self.request.method();
        if response.kind() == Kind::Error {
            let code = response.error_code();
            let mismatch = code == Some(HEADER_MISMATCH) && method == Some(Method::ToolsCall);
            if mismatch && self.client.shared.has_headers() && !self.listed_again {
                self.listed_again = true;
                self.headers = self.client.headers(&self.permit, &self.request, true).await;
                self.stage = Stage::Sending;
                return Ok(None);
            }
            self.stage = Stage::Done;
            return answer::error(&self.request, &response).map(Some);
        }
        match response.result_type().as_deref() {
            None | Some("complete") => {
                self.stage = Stage::Done;
                answer::complete(&self.request, &response, &self.client.shared).map(Some)
            }
            Some("input_required") if method.is_some_and(Method::may_require_input) => {
                self.rounds += 1;
                if self.rounds > ROUNDS {
                    let text = format!("the server asked for input more than {ROUNDS} times");
                    return Err(Failure::new(ErrorKind::UpstreamError, text));
                }
                self.stage = Stage::Asking(Round::open(&self.client, &response)?);
                Ok(None)
            }
            Some(_) => {
                let text = "the server's answer has a `resultType` that this request cannot have";
                Err(Failure::new(ErrorKind::UpstreamError, text))
            }
        }
    }
}
