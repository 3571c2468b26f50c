//! The standalone GET stream: messages of the server that belong to no request.

use std::sync::Arc;
use std::time::Duration;

use domain::Failure;
use http::{HeaderValue, Response};
use hyper::body::Incoming;
use protocol::Kind;

use super::HttpLink;
use crate::failure;
use crate::http::{EventReader, LAST_EVENT_ID, Media, get_events, parse};
use crate::ledger::lock;

/// Why a stream was not opened.
pub(super) struct Refused {
    pub(super) failure: Failure,
    /// Whether another attempt could end otherwise.
    lasting: bool,
}

impl HttpLink {
    /// Opens an event stream, at `last_event_id` if there was one before.
    pub(super) async fn open_events(
        &self,
        last_event_id: Option<&str>,
    ) -> Result<Response<Incoming>, Refused> {
        let mut headers = lock(&self.phase).headers();
        let id = last_event_id.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok());
        if let Some(id) = id {
            headers.insert(LAST_EVENT_ID, id);
        }
        let target = &self.target;
        let sent = self.client.send(target, || get_events(target, headers.clone())).await;
        let response = sent.map_err(|failure| Refused { failure, lasting: false })?;
        let status = response.status();
        let events = Media::of(response.headers()) == Media::Events;
        if status.is_success() && events {
            return Ok(response);
        }
        let failure = failure::status(status, format!("GET {}", target.shown()));
        Err(Refused { failure, lasting: !status.is_server_error() })
    }

    /// Keeps the standalone stream open in the background until the session ends, or is
    /// initialised again.
    pub(super) fn listen(self: &Arc<Self>) {
        self.opening.send_replace(true);
        let until = self.stop.child_token();
        std::mem::replace(&mut *lock(&self.listener), until.clone()).cancel();
        let link = Arc::clone(self);
        tokio::spawn(async move {
            until.run_until_cancelled(link.keep_listening()).await;
        });
    }

    async fn keep_listening(&self) {
        let retry = &self.shared.config().retry;
        let mut last_event_id: Option<String> = None;
        let mut failures = 0_u32;
        loop {
            let opened = self.open_events(last_event_id.as_deref()).await;
            self.opening.send_replace(false);
            failures += 1;
            let mut pause = None;
            match opened {
                Ok(response) => {
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
            match parse(event.data) {
                Ok(message) => match message.kind() {
                    Kind::Request | Kind::Notification => self.inbox.deliver(message).await,
                    Kind::Response | Kind::Error => {
                        self.ledger.odd("answers on the standalone stream");
                    }
                },
                Err(failure) => self.ledger.odd(&failure.detail),
            }
        }
        any
    }
}
