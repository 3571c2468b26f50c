//! Requests of the gateway's own, and answers taken whole.

use bytes::Bytes;
use domain::{Answer, Connection, ErrorKind, Failure, Inbox, Permit};
use futures_util::StreamExt;
use protocol::{Kind, Message, Method, encode, object};

/// What revisions up to 2025-11-25 say of a resource that is not there, and what 2026-07-28 says.
pub(crate) const RESOURCE_NOT_FOUND: i64 = -32002;
pub(crate) const INVALID_PARAMS: i64 = ErrorKind::InvalidParams.code() as i64;

/// Sends one request and waits for its response; what comes before it goes to `inbox`, or nowhere.
///
/// # Errors
///
/// As [`Connection::send`], and `UpstreamError` when there is no response.
pub(crate) async fn ask(
    connection: &dyn Connection,
    permit: Permit,
    request: Message,
    inbox: Option<&dyn Inbox>,
) -> Result<Message, Failure> {
    let mut stream = match connection.send(permit, request).await? {
        Answer::Message(response) => return Ok(response),
        Answer::Accepted => return Err(unanswered()),
        Answer::Stream(stream) => stream,
    };
    while let Some(message) = stream.next().await {
        let message = message?;
        match (message.kind(), inbox) {
            (Kind::Response | Kind::Error, _) => return Ok(message),
            (Kind::Request | Kind::Notification, Some(inbox)) => inbox.deliver(message).await,
            (Kind::Request | Kind::Notification, None) => {}
        }
    }
    Err(unanswered())
}

/// A request of the gateway's own; `params` is raw JSON.
///
/// # Errors
///
/// `Internal` when it is not valid MCP, which is a defect.
pub(crate) fn request(id: u64, method: &str, params: &str) -> Result<Message, Failure> {
    written(encode::request(&id.to_string(), method, Some(params)))
}

/// The answer of the gateway's own to a request.
///
/// # Errors
///
/// As [`request`].
pub(crate) fn reply(request: &Message, result: &str) -> Result<Answer, Failure> {
    let id = request.id().unwrap_or("null");
    written(encode::result_reply(id, result)).map(Answer::Message)
}

/// A message that was put together here.
///
/// # Errors
///
/// `Internal` when it is not valid MCP, which is a defect.
pub(crate) fn written(body: Bytes) -> Result<Message, Failure> {
    Message::parse(body).map_err(|error| {
        let text = "the message could not be translated between revisions of MCP";
        Failure::new(ErrorKind::Internal, text).detail(error)
    })
}

/// The refusal of a method in the era that the client speaks.
pub(crate) fn no_such_method(method: &str, era: &str) -> Failure {
    let text = format!("`{method}` is no method of {era}");
    Failure::new(ErrorKind::MethodNotFound, text).unsent()
}

/// The error of an answer under another code.
///
/// # Errors
///
/// As [`written`].
pub(crate) fn recoded(answer: &Message, code: i64) -> Result<Message, Failure> {
    let (id, code) = (answer.id().unwrap_or("null"), code.to_string());
    let error = object::edit(answer.error().unwrap_or("{}"), &[("code", Some(&code))]);
    written(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#).into())
}

/// The failure of a request whose answer ended before its response.
pub(crate) fn broke_off() -> Failure {
    let text = "the connection to the server broke before it answered";
    Failure::new(ErrorKind::UpstreamError, text)
}

/// Whether the message is a request for that method.
pub(crate) fn asks_for(message: &Message, method: Method) -> bool {
    message.kind() == Kind::Request && message.method() == Some(method)
}

fn unanswered() -> Failure {
    let text = "the server's answer is not an answer to the request";
    Failure::new(ErrorKind::UpstreamError, text)
}
