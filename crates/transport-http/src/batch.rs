//! Arrays of messages, which MCP 2025-03-26 has and no other revision ("Streamable HTTP", "Sending Messages to the
//! Server"). Servers differ in whether they take them, so each item goes its own way: it is decided, forwarded and
//! recorded like a message that came alone, and only the answers leave together.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use domain::Failure;
use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use http::{Response, StatusCode};
use protocol::ProtocolVersion;
use router::{Caller, EventStream, HttpTicket, Reply, ReplyBody, Ticket};
use session::Session;

use crate::app::{App, empty, json};
use crate::content::Content;
use crate::lasting::Rest;
use crate::refusal::Refusal;
use crate::streamable;

/// The messages of an array, and the session they belong to.
pub(crate) struct Batch {
    session: Arc<Session>,
    items: Vec<Bytes>,
}

impl App {
    /// The messages of an array, if the session admits arrays. Any other body, and any other session, goes the way of
    /// a single message.
    pub(crate) fn split(
        &self,
        caller: &Caller,
        ticket: &HttpTicket,
        body: &Bytes,
    ) -> Result<Option<Batch>, Refusal> {
        let version = ProtocolVersion::V2025_03_26;
        let is_array = body.trim_ascii_start().first() == Some(&b'[');
        if !is_array || ticket.version.as_deref().is_some_and(|named| named != version.as_str()) {
            return Ok(None);
        }
        let session = ticket.session.as_deref().and_then(|token| self.0.router.find(token, caller));
        let admits = |session: &Arc<Session>| session.negotiated() == Some(version);
        let Some(session) = session.filter(admits) else { return Ok(None) };
        match protocol::batch(body) {
            None => Ok(None),
            Some(Ok(items)) => Ok(Some(Batch { session, items })),
            Some(Err(error)) => {
                Err(Refusal { size: body.len(), ..Refusal::of(Failure::from(&error)) })
            }
        }
    }

    /// Handles the messages of an array at the same time, in the order of their arrival. Answers that all are JSON
    /// leave as one array; as soon as one of them is a stream, all leave on one stream.
    pub(crate) async fn post_batch(
        &self,
        caller: &Caller,
        ticket: &HttpTicket,
        Batch { session, items }: Batch,
    ) -> Response<Content> {
        let mut answers = Vec::new();
        let mut requests = FuturesUnordered::new();
        for item in items {
            let ticket = Ticket::Http(ticket.clone());
            match self.0.router.receive(item, caller.clone(), ticket).await {
                Ok(received) if received.expects_answer() => requests.push(self.handling(received)),
                Ok(received) => self.handle_behind(received),
                Err(Reply { body: ReplyBody::Json(answer), .. }) => answers.push(answer),
                Err(_) => {}
            }
        }
        while let Some(reply) = requests.next().await {
            match reply.body {
                ReplyBody::Empty => {}
                ReplyBody::Json(answer) => answers.push(answer),
                ReplyBody::Events(messages) => {
                    let rest = requests.flat_map_unordered(None, |reply| messages_of(reply.body));
                    let behind = Rest::in_session(&session, &self.0);
                    let all = [stream::iter(answers).boxed(), messages, rest.boxed()];
                    let all = stream::select_all(all).boxed();
                    return streamable::stream(self.events(all, &behind));
                }
            }
        }
        if answers.is_empty() { empty(StatusCode::ACCEPTED) } else { json(array(&answers)) }
    }
}

fn messages_of(body: ReplyBody) -> EventStream {
    match body {
        ReplyBody::Empty => stream::empty().boxed(),
        ReplyBody::Json(answer) => stream::iter([answer]).boxed(),
        ReplyBody::Events(messages) => messages,
    }
}

/// One JSON array of the messages.
fn array(messages: &[Bytes]) -> Bytes {
    let size = messages.iter().map(|message| message.len() + 1).sum::<usize>() + 2;
    let mut array = BytesMut::with_capacity(size);
    let mut separator = b'[';
    for message in messages {
        array.put_u8(separator);
        array.extend_from_slice(message);
        separator = b',';
    }
    array.put_u8(b']');
    array.freeze()
}
