//! Streamable HTTP: `POST`, `GET` and `DELETE` of `/mcp` (MCP 2025-11-25, "Streamable HTTP"; earlier revisions differ
//! only in what the messages say).

use domain::Transport;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use protocol::ProtocolVersion;
use router::{Caller, Ticket};
use std::sync::Arc;

use crate::app::{App, Peer, SESSION_ID, empty, respond};
use crate::content::{Content, Events};
use crate::gate::single;
use crate::media;
use crate::refusal::Refusal;

/// What `/mcp` takes.
pub(crate) const METHODS: &str = "GET, POST, DELETE, OPTIONS";

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static(protocol::header::PROTOCOL_VERSION);

/// Whether the headers of a POST admit what may be answered.
pub(crate) fn check_post(parts: &Parts) -> Result<(), Refusal> {
    check_version(parts)?;
    let json = media::accepts(&parts.headers, media::JSON);
    if json && media::accepts(&parts.headers, media::EVENTS) {
        return Ok(());
    }
    let message = "`Accept` must list both `application/json` and `text/event-stream`";
    Err(Refusal::misfit(StatusCode::NOT_ACCEPTABLE, message))
}

/// Whether `MCP-Protocol-Version`, where there is one, names a revision that the gateway speaks.
fn check_version(parts: &Parts) -> Result<(), Refusal> {
    let Some(version) = single(parts, &PROTOCOL_VERSION)? else { return Ok(()) };
    if ProtocolVersion::from_str(version).is_some() {
        return Ok(());
    }
    let known = ProtocolVersion::ALL.map(ProtocolVersion::as_str).join(", ");
    Err(Refusal::bad(format!("`MCP-Protocol-Version` names none of the known revisions: {known}")))
}

impl App {
    /// A message from the client. What expects no answer is accepted at once and handled behind.
    pub(crate) async fn post(
        &self,
        caller: Caller,
        parts: &Parts,
        body: bytes::Bytes,
    ) -> Result<Response<Content>, Refusal> {
        let ticket = Ticket::Header(single(parts, &SESSION_ID)?.map(str::to_owned));
        let received = match self.0.router.receive(body, caller, ticket).await {
            Ok(received) => received,
            Err(reply) => return Ok(respond(reply)),
        };
        if received.expects_answer() {
            return Ok(respond(self.0.router.handle(received).await));
        }
        let shared = Arc::clone(&self.0);
        self.0.behind.spawn(async move {
            shared.abort.run_until_cancelled(shared.router.handle(received)).await;
        });
        Ok(empty(StatusCode::ACCEPTED))
    }

    /// The stream of what the server sends on its own account.
    pub(crate) fn listen(&self, peer: &Peer, parts: &Parts) -> Result<Response<Content>, Refusal> {
        check_version(parts)?;
        if !media::accepts(&parts.headers, media::EVENTS) {
            let message = "`Accept` must list `text/event-stream`";
            return Err(Refusal::misfit(StatusCode::NOT_ACCEPTABLE, message));
        }
        let session = self.session(parts)?;
        let Some(messages) = session.attach() else {
            let message = "the session has a stream already: close it first";
            return Err(Refusal::misfit(StatusCode::CONFLICT, message));
        };
        let messages = unfold(messages, |mut messages| async {
            let message = messages.next().await?;
            Some((message, messages))
        });
        let draining = peer.draining.clone().cancelled_owned();
        Ok(stream(Events::new(Box::pin(messages.take_until(draining)))))
    }

    /// The end of a session. It goes on upstream even if the client does not wait for the answer.
    pub(crate) async fn delete(&self, parts: &Parts) -> Result<Response<Content>, Refusal> {
        check_version(parts)?;
        let session = self.session(parts)?;
        let shared = Arc::clone(&self.0);
        let closing = self.0.behind.spawn(async move {
            shared.abort.run_until_cancelled(shared.router.close(&session)).await;
        });
        if let Err(error) = closing.await {
            tracing::error!(%error, "closing a session failed");
        }
        Ok(empty(StatusCode::NO_CONTENT))
    }

    /// The session that the headers name, if it is one of this transport.
    fn session(&self, parts: &Parts) -> Result<Arc<session::Session>, Refusal> {
        let Some(token) = single(parts, &SESSION_ID)? else {
            let message =
                "`Mcp-Session-Id` is missing: send the id that `initialize` was answered with";
            return Err(Refusal::bad(message));
        };
        let session = self.0.router.find(token);
        session
            .filter(|session| session.transport() == Transport::Http)
            .ok_or_else(Refusal::no_session)
    }
}

/// The answer that carries events.
pub(crate) fn stream(events: Events) -> Response<Content> {
    let mut response = Response::new(Content::Events(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::EVENTS));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}
