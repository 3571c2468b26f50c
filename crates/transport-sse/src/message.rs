//! `POST /message`: one message from the client.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use domain::{ErrorKind, Failure};
use http::{StatusCode, Uri};
use http_body_util::BodyExt;
use router::{Caller, Conversation};
use session::Session;

use crate::{Shared, reply};

/// Takes a message and answers 202; what comes of it goes to the session's stream.
pub(crate) async fn accept(shared: &Arc<Shared>, caller: Caller, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        let failure = Failure::new(ErrorKind::BadTransport, "the body broke off");
        let status = Some(StatusCode::BAD_REQUEST);
        return reply::refuse(&shared.router, &caller, status, failure, 0).await;
    };
    let body = body.to_bytes();
    let session = match find(shared, &caller, &parts.uri) {
        Ok(session) => session,
        Err((status, failure)) => {
            return reply::refuse(&shared.router, &caller, Some(status), failure, body.len()).await;
        }
    };
    let conversation = Conversation::on(&shared.router, caller, session, shared.calls.clone());
    match conversation.accept(body).await {
        Ok(()) => {}
        // The sender looks at the status alone: what it is to read must be on the stream.
        Err(reply) if reply.status < 400 => conversation.deliver(reply).await,
        Err(reply) => return reply::respond(reply),
    }
    reply::empty(StatusCode::ACCEPTED)
}

/// The session of the query `sessionId=`.
fn find(
    shared: &Shared,
    caller: &Caller,
    uri: &Uri,
) -> Result<Arc<Session>, (StatusCode, Failure)> {
    let query = uri.query().unwrap_or_default();
    let mut tokens = query.split('&').filter_map(|pair| pair.strip_prefix("sessionId="));
    let (Some(token), None) = (tokens.next(), tokens.next()) else {
        let text = "one `sessionId` is needed: post to the URI that the event `endpoint` gave";
        return Err((StatusCode::BAD_REQUEST, Failure::new(ErrorKind::BadTransport, text)));
    };
    shared.router.find(token, caller).ok_or_else(|| {
        let text = "the session is unknown or has ended: open `/sse` anew";
        (StatusCode::NOT_FOUND, Failure::new(ErrorKind::SessionNotFound, text))
    })
}
