//! Streamable HTTP: `POST`, `GET` and `DELETE` of `/mcp`. Revisions from 2025-03-26 to 2025-11-25 have sessions, streams
//! of them and their end; 2026-07-28 has `POST` alone.

use std::sync::Arc;

use bytes::Bytes;
use domain::BoxFuture;
use futures_util::StreamExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use protocol::Era;
use router::{Caller, EventStream, HttpTicket, Received, Reply, Ticket};
use session::Session;

use crate::app::{App, Peer, empty, respond};
use crate::content::Content;
use crate::events::Events;
use crate::gate::single;
use crate::lasting::{Answer, Handling, Rest};
use crate::refusal::Refusal;
use crate::resumption::{self, Found};
use crate::{media, mirrored};

/// What `/mcp` takes.
pub(crate) const METHODS: &str = "GET, POST, DELETE, OPTIONS";
/// What it takes of a client of 2026-07-28.
const STATELESS_METHODS: &str = "POST";

const SESSION_ID: HeaderName = HeaderName::from_static(protocol::header::SESSION_ID);
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static(protocol::header::PROTOCOL_VERSION);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static(protocol::header::LAST_EVENT_ID);

/// What the headers of a POST say of the message, if they admit what may be answered.
pub(crate) fn check_post(parts: &Parts) -> Result<HttpTicket, Refusal> {
    let json = media::accepts(&parts.headers, media::JSON);
    if json && media::accepts(&parts.headers, media::EVENTS) {
        return mirrored::ticket(parts);
    }
    let message = "`Accept` must list both `application/json` and `text/event-stream`";
    Err(Refusal::misfit(StatusCode::NOT_ACCEPTABLE, message))
}

/// Whether the client speaks of sessions: `MCP-Protocol-Version`, where there is one, names a revision that has them.
fn check_sessions(parts: &Parts) -> Result<(), Refusal> {
    let Some(version) = single(parts, &PROTOCOL_VERSION)? else { return Ok(()) };
    match router::named_version(version).map_err(Refusal::of)?.era() {
        Era::Legacy => Ok(()),
        Era::Modern => Err(Refusal::method(STATELESS_METHODS)),
    }
}

impl App {
    /// A message from the client, or several. What expects no answer is accepted at once and handled behind.
    pub(crate) async fn post(
        &self,
        peer: &Peer,
        caller: Caller,
        ticket: HttpTicket,
        body: Bytes,
    ) -> Result<Response<Content>, Refusal> {
        if let Some(batch) = self.split(&caller, &ticket, &body)? {
            return Ok(Box::pin(self.post_batch(&caller, &ticket, batch)).await);
        }
        let received = match self.0.router.receive(body, caller, Ticket::Http(ticket)).await {
            Ok(received) => received,
            Err(reply) => return Ok(respond(reply, Events::plain)),
        };
        if !received.expects_answer() {
            self.handle_behind(received);
            return Ok(empty(StatusCode::ACCEPTED));
        }
        if received.ends_with_its_reader() {
            let reply = self.reply(received).await;
            let until = reply.lasting.then(|| peer.draining.clone().cancelled_owned());
            return Ok(respond(reply, |messages| match until {
                Some(until) => Events::plain(messages.take_until(until).boxed()),
                None => Events::plain(messages),
            }));
        }
        let mut handling = self.handling(received);
        let reply = (&mut handling).await;
        Ok(respond(reply, |messages| self.events(messages, handling.rest())))
    }

    /// The reply to a request. It is boxed to stay out of what every connection holds, and so that it can be handed on.
    fn reply(&self, received: Received) -> BoxFuture<'static, Reply> {
        let router = Arc::clone(&self.0.router);
        Box::pin(async move { router.handle(received).await })
    }

    /// The reply to a request of a session, which is handled to its end whether or not the client waits for it.
    pub(crate) fn handling(&self, received: Received) -> Handling {
        let rest = Rest::of(&received, &self.0);
        Handling::new(self.reply(received), rest)
    }

    /// Handles what expects no answer.
    pub(crate) fn handle_behind(&self, received: Received) {
        let router = Arc::clone(&self.0.router);
        self.0.go_on(async move {
            let _: Reply = router.handle(received).await;
        });
    }

    /// The messages of a session's answer as events, which are kept and read to the end whether or not the client
    /// reads them.
    pub(crate) fn events(&self, messages: EventStream, rest: &Rest) -> Events {
        let events = resumption::answer(rest.session(), messages);
        Events::encoded(Box::pin(Answer::new(events, rest)))
    }

    /// The stream of what the server sends on its own account, or the rest of a stream that broke off.
    pub(crate) fn listen(
        &self,
        peer: &Peer,
        caller: &Caller,
        parts: &Parts,
    ) -> Result<Response<Content>, Refusal> {
        check_sessions(parts)?;
        if !media::accepts(&parts.headers, media::EVENTS) {
            let message = "`Accept` must list `text/event-stream`";
            return Err(Refusal::misfit(StatusCode::NOT_ACCEPTABLE, message));
        }
        let session = self.session(caller, parts)?;
        let found = single(parts, &LAST_EVENT_ID)?.map(|last| resumption::find(&session, last));
        let (live, missed) = match found {
            None => match session.attach() {
                Some(live) => (live, None),
                None => {
                    let message = "the session has a stream already: close it first";
                    return Err(Refusal::misfit(StatusCode::CONFLICT, message));
                }
            },
            // The client has lost the stream that is still attached.
            Some(Found::Listening(missed)) => (session.take_over(), missed),
            Some(Found::Rest(events)) => return Ok(stream(Events::encoded(events))),
            // With this status a client stops coming back (WHATWG HTML, "Server-sent events").
            Some(Found::Nothing) => return Ok(empty(StatusCode::NO_CONTENT)),
            // Not 404, which says that the session is over.
            Some(Found::Unknown) => {
                let message =
                    "`Last-Event-ID` names no event that is still kept: send the request again";
                return Err(Refusal::bad(message));
            }
        };
        let listening = Arc::clone(&session);
        self.0.go_on(async move { listening.connection().listen().await });
        let events = resumption::listening(&session, live, missed, peer.draining.clone());
        Ok(stream(Events::encoded(events)))
    }

    /// The end of a session. It goes on upstream even if the client does not wait for the answer.
    pub(crate) async fn delete(
        &self,
        caller: &Caller,
        parts: &Parts,
    ) -> Result<Response<Content>, Refusal> {
        check_sessions(parts)?;
        let session = self.session(caller, parts)?;
        let shared = Arc::clone(&self.0);
        let closing = self.0.behind.spawn(async move {
            shared.abort.run_until_cancelled(shared.router.close(&session)).await;
        });
        if let Err(error) = closing.await {
            tracing::error!(%error, "closing a session failed");
        }
        Ok(empty(StatusCode::NO_CONTENT))
    }

    /// The session that the headers name.
    fn session(&self, caller: &Caller, parts: &Parts) -> Result<Arc<Session>, Refusal> {
        let Some(token) = single(parts, &SESSION_ID)? else {
            let message =
                "`Mcp-Session-Id` is missing: send the id that `initialize` was answered with";
            return Err(Refusal::bad(message));
        };
        self.0.router.find(token, caller).ok_or_else(Refusal::no_session)
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
