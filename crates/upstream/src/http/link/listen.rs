//! The standalone GET stream: messages of the server that belong to no request.

use std::sync::Arc;
use std::time::Duration;

use domain::{Failure, lock};
use http::{HeaderValue, Response, StatusCode};
use hyper::body::Incoming;

use super::{HttpLink, Phase, is_answer};
use crate::failure;
use crate::http::{EventReader, LAST_EVENT_ID, Media, get_events, parse};

/// Why a stream was not opened.
pub(super) struct Refused {
    pub(super) failure: Failure,
    /// Whether another attempt could end otherwise.
    lasting: bool,
    /// The session, if the server may have forgotten it.
    unknown: Option<Phase>,
}

impl HttpLink {
    /// Opens an event stream, at `last_event_id` if there was one before.
    pub(super) async fn open_events(
        &self,
        last_event_id: Option<&str>,
    ) -> Result<Response<Incoming>, Refused> {
        let phase = lock(&self.phase).clone();
        let mut headers = phase.headers();
        let id = last_event_id.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok());
        if let Some(id) = id {
            headers.insert(LAST_EVENT_ID, id);
        }
        let target = &self.target;
        let sent = self.client.send(target, || get_events(target, headers.clone())).await;
        let response =
            sent.map_err(|failure| Refused { failure, lasting: false, unknown: None })?;
        let status = response.status();
        let events = Media::of(response.headers()) == Media::Events;
        if status.is_success() && events {
            return Ok(response);
        }
        let failure = failure::status(status, format!("GET {}", target.shown()));
        // A conflict passes when the stream of another replica ends.
        let lasting = !status.is_server_error() && status != StatusCode::CONFLICT;
        let unknown = matches!(status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST);
        let unknown = (unknown && phase.has_session()).then_some(phase);
        Err(Refused { failure, lasting, unknown })
    }

    /// Keeps the standalone stream open in the background until the session ends, or is
    /// initialised again.
    pub(super) fn listen(self: &Arc<Self>) {
        self.set_opening(true);
        let until = self.stop.child_token();
        if let Some(before) = lock(&self.listener).replace(until.clone()) {
            before.cancel();
        }
        let link = Arc::clone(self);
        tokio::spawn(async move {
            until.run_until_cancelled(Box::pin(link.keep_listening())).await;
        });
    }

    /// The client listens: opens the standalone stream unless that was done before, with a new
    /// session where the server has forgotten it.
    pub(crate) fn listen_for_client(self: &Arc<Self>) {
        if matches!(*lock(&self.phase), Phase::Forgotten) {
            return self.renew_soon();
        }
        let initialized = self.greeting.words().is_some_and(|words| words.initialized.is_some());
        if initialized && lock(&self.listener).is_none() {
            self.listen();
        }
    }

    async fn keep_listening(self: &Arc<Self>) {
        let retry = &self.shared.config().retry;
        let mut last_event_id: Option<String> = None;
        let mut failures = 0_u32;
        let mut known = false;
        loop {
            let opened = Box::pin(self.open_events(last_event_id.as_deref())).await;
            self.set_opening(false);
            failures += 1;
            let mut pause = None;
            match opened {
                Ok(response) => {
                    known = true;
                    let limit = self.client.max_message();
                    let mut reader = EventReader::new(response.into_body(), limit);
                    if self.deliver_all(&mut reader).await {
                        failures = 1;
                    }
                    pause = reader.retry().map(Duration::from_millis);
                    last_event_id = reader.last_event_id().map(str::to_owned).or(last_event_id);
                }
                Err(refused) => {
                    tracing::debug!(error = %refused.failure, "no standalone stream");
                    if let Some(session) = refused.unknown.filter(|_| known) {
                        return self.forgotten(&session);
                    }
                    if refused.lasting {
                        return;
                    }
                }
            }
            if !retry.enabled {
                return;
            }
            tokio::time::sleep(pause.unwrap_or_else(|| retry.delay(failures))).await;
        }
    }

    /// The server had the stream and no longer knows its session. Who listens does not wait for a
    /// message; without a listener, the client may have ended the session through another replica.
    fn forgotten(self: &Arc<Self>, session: &Phase) {
        self.forget(session);
        if self.inbox.has_reader() {
            self.renew_soon();
        }
    }

    fn renew_soon(self: &Arc<Self>) {
        let (link, stop) = (Arc::clone(self), self.stop.clone());
        tokio::spawn(async move {
            let renewed = link.renew(false, link.shared.deadline());
            if let Some(Err(miss)) = stop.run_until_cancelled(renewed).await {
                tracing::debug!(error = %miss.into_failure(), "the session was not opened again");
            }
        });
    }

    /// Gives the messages of a stream to the inbox until it ends; says whether there were any.
    async fn deliver_all(&self, reader: &mut EventReader) -> bool {
        let mut any = false;
        while let Some(event) = reader.next().await {
            let event = match event {
                Ok(event) => event,
                Err(failure) => {
                    tracing::debug!(error = %failure, "the standalone stream broke");
                    break;
                }
            };
            any = true;
            if event.name() != "message" || event.data.is_empty() {
                continue;
            }
            Box::pin(self.deliver(event.data)).await;
        }
        any
    }

    async fn deliver(&self, data: bytes::Bytes) {
        for message in parse(data) {
            match message {
                Ok(message) if is_answer(&message) => {
                    self.ledger.odd("answers on the standalone stream");
                }
                Ok(message) => {
                    if let Some((_, message)) = self.ledger.restored(message) {
                        self.inbox.deliver(message).await;
                    }
                }
                Err(failure) => self.ledger.odd(&failure.detail),
            }
        }
    }
}
