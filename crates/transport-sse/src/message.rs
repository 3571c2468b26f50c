//! `POST /message`: one message from the client.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use domain::{ErrorKind, Failure, Transport};
use futures_util::StreamExt;
use http::{StatusCode, Uri};
use http_body_util::BodyExt;
use router::{Caller, Reply, ReplyBody, Ticket};
use session::{Pushed, Session};

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
    let session = match find(shared, &parts.uri) {
        Ok(session) => session,
        Err((status, failure)) => {
            return reply::refuse(&shared.router, &caller, Some(status), failure, body.len()).await;
        }
    };
    let ticket = Ticket::Session(Arc::clone(&session));
    let received = match shared.router.receive(body, caller, ticket).await {
        Ok(received) => received,
        Err(reply) if reply.status < 400 => {
            // The sender looks at the status alone: what it is to read must be on the stream.
            deliver(&session, reply).await;
            return reply::empty(StatusCode::ACCEPTED);
        }
        Err(reply) => return reply::respond(reply),
    };
    let router = Arc::clone(&shared.router);
    shared.calls.spawn(async move {
        let answer = async {
            let reply = router.handle(received).await;
            // An answer that nobody reads counts on: too many of them, and further requests are refused.
            let _unread = session.enter();
            deliver(&session, reply).await;
        };
        tokio::select! {
            () = answer => {}
            // Nobody is left to read the answer.
            () = session.closed() => {}
        }
    });
    reply::empty(StatusCode::ACCEPTED)
}

/// The session of the query `sessionId=`.
fn find(shared: &Shared, uri: &Uri) -> Result<Arc<Session>, (StatusCode, Failure)> {
    let query = uri.query().unwrap_or_default();
    let mut tokens = query.split('&').filter_map(|pair| pair.strip_prefix("sessionId="));
    let (Some(token), None) = (tokens.next(), tokens.next()) else {
        let text = "one `sessionId` is needed: post to the URI that the event `endpoint` gave";
        return Err((StatusCode::BAD_REQUEST, Failure::new(ErrorKind::BadTransport, text)));
    };
    let session = shared.router.find(token);
    session.filter(|session| session.transport() == Transport::Sse).ok_or_else(|| {
        let text = "the session is unknown or has ended: open `/sse` anew";
        (StatusCode::NOT_FOUND, Failure::new(ErrorKind::SessionNotFound, text))
    })
}

/// Puts a reply on the session's stream.
async fn deliver(session: &Session, reply: Reply) {
    match reply.body {
        ReplyBody::Empty => {}
        ReplyBody::Json(message) => push(session, message).await,
        ReplyBody::Events(mut messages) => {
            while let Some(message) = messages.next().await {
                push(session, message).await;
            }
        }
    }
}

async fn push(session: &Session, message: Bytes) {
    match session.outbox().push(message).await {
        Pushed::Queued => {}
        Pushed::Dropped => tracing::debug!(session = %session.id(), "an answer came too late"),
    }
}
