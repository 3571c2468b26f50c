//! What it means when the server answers a message with a status other than success.

use bytes::Bytes;
use http::StatusCode;
use protocol::{Era, Kind, Message, object};
use tokio::time::{Instant, timeout_at};

use super::{HttpLink, Phase, Sent, is_answer};
use crate::failure;
use crate::http::Media;
use crate::ledger::own_id;
use crate::session::Miss;
use domain::lock;

impl HttpLink {
    /// Finds the error reply to the request that `asked` names by our id, or the failure.
    pub(super) async fn refused(
        &self,
        sent: Sent,
        asked: Option<(u64, Era)>,
        probing: bool,
        deadline: Instant,
    ) -> Result<Message, Miss> {
        let Sent { response, phase } = sent;
        let status = response.status();
        let json = Media::of(response.headers()) == Media::Json;
        let body = match timeout_at(deadline, self.client.collect(response.into_body())).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) | Err(_) => Bytes::new(),
        };
        let session = phase.has_session();
        let lost = session && status == StatusCode::NOT_FOUND && names_session(&body);
        if let Some((own, era)) = asked.filter(|_| json && !lost)
            && let Some(answer) = error_reply(&body, own, era)
        {
            return Ok(answer);
        }
        let unknown = status == StatusCode::NOT_FOUND
            || (status == StatusCode::BAD_REQUEST && names_session(&body));
        if session && unknown {
            self.forget(&phase);
            return Err(Miss::NotTaken(failure::forgotten()));
        }
        let failure = failure::status(status, self.target.shown());
        let elsewhere =
            [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
        let miss = probing && elsewhere.contains(&status);
        Err(if miss { Miss::NotHere(failure) } else { Miss::Failed(failure) })
    }

    /// The server does not know the session of this phase, unless there is another one by now.
    pub(super) fn forget(&self, phase: &Phase) {
        let mut current = lock(&self.phase);
        if current.session_id() == phase.session_id() {
            *current = Phase::Forgotten;
        }
    }
}

/// The error reply that a body is. One to a stateless request needs no id of ours: a POST has one
/// answer, and servers that refuse by the headers alone have not read the id (2026-07-28).
fn error_reply(body: &Bytes, own: u64, era: Era) -> Option<Message> {
    let message = Message::parse(body.clone()).ok().filter(is_answer)?;
    if own_id(&message) == Some(own) {
        return Some(message);
    }
    if era == Era::Legacy || message.kind() != Kind::Error {
        return None;
    }
    let raw = std::str::from_utf8(body).ok()?;
    let under_our_id = object::edit(raw, &[("id", Some(&own.to_string()))]);
    Message::parse(under_our_id.into()).ok()
}

/// Whether an error text is about the session: some servers refuse an unknown session with 400.
fn names_session(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).to_ascii_lowercase().contains("session")
}
