//! WebSocket (RFC 6455, subprotocol `mcp`): one text message is one message of MCP, in either direction, and the
//! session lives as long as the connection.
//!
//! Invariants:
//!
//! - **What cannot be a message ends the connection** with the code that says why, and is recorded.
//! - **No more than the limit is ever buffered** of a message, whatever its frames say.
//! - **A client that falls silent is asked by a ping**, and left when it does not answer; one that does not read is left
//!   when a write stalls (`socket`), with no more waiting for it than the outbox of its session holds.
//!
//! What this deliberately does not do: extensions (compression), other subprotocols, and sessions that outlive their
//! connection.

mod handshake;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use domain::{ErrorKind, Failure};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::Response;
use http::request::Parts;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use router::{Caller, Conversation, Reply};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as SocketError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message as Frame, Utf8Bytes};

use crate::app::{App, Peer, Shared, respond};
use crate::content::Content;
use crate::events::Events;
use crate::progress::Turn;
use crate::refusal::Refusal;

/// How long a client may be silent before it is asked whether it is there, and then before it is left.
const SILENCE: Duration = Duration::from_secs(30);
/// How long the client gets to take note of the end.
const GRACE: Duration = Duration::from_secs(2);
/// Stands for a wait that only the end of the process bounds.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// Read at once; it is held by every connection.
const READ_BYTES: usize = 8 << 10;
/// Messages that wait together leave in writes of about this size.
const WRITE_BYTES: usize = 16 << 10;

type Socket = WebSocketStream<TokioIo<Upgraded>>;
type Frames = SplitStream<Socket>;
type Sink = SplitSink<Socket, Frame>;

impl App {
    /// Agrees to a WebSocket and serves it beside the connection that it was asked for on.
    pub(crate) async fn upgrade(
        &self,
        peer: &Arc<Peer>,
        caller: &Caller,
        mut parts: Parts,
    ) -> Result<Response<Content>, Refusal> {
        let response = handshake::agree(&parts)?;
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let upgrade = upgrade.ok_or_else(|| Refusal::bad("the connection cannot be upgraded"))?;
        let conversation = match Conversation::open(&self.0.router, caller.clone()).await {
            Ok(conversation) => conversation,
            Err(refused) => return Ok(respond(refused.reply, Events::plain)),
        };
        let client = Client {
            shared: Arc::clone(&self.0),
            peer: Arc::clone(peer),
            caller: caller.clone(),
            conversation,
        };
        self.0.go_on(client.serve(upgrade));
        Ok(response)
    }
}

/// The client at the other end of one WebSocket.
struct Client {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    caller: Caller,
    conversation: Conversation,
}

/// Why a conversation ends.
enum Ending {
    /// The client closed the connection, or is gone.
    Left,
    /// The session is over.
    Over,
    /// The gateway shuts down.
    Draining,
    /// The client answers no ping.
    Silent,
    /// A message is over the limit; so many bytes are known of it.
    TooLarge(usize),
    /// The client sent so many bytes of what the protocol does not allow.
    Fault(CloseCode, &'static str, usize),
}

impl Ending {
    /// What the client is told.
    fn close(&self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Left => (CloseCode::Normal, ""),
            Self::Over => (CloseCode::Normal, "the session has ended"),
            Self::Draining => (CloseCode::Away, "the gateway shuts down: connect again"),
            Self::Silent => (CloseCode::Error, "no answer to a ping"),
            Self::TooLarge(_) => (CloseCode::Size, "the message is too large"),
            Self::Fault(code, reason, _) => (*code, *reason),
        };
        CloseFrame { code, reason: Utf8Bytes::from_static(reason) }
    }
}

impl Client {
    async fn serve(self, upgrade: OnUpgrade) {
        let upgraded = match upgrade.await {
            Ok(upgraded) => TokioIo::new(upgraded),
            Err(error) => {
                tracing::debug!(%error, "the client left before its WebSocket was open");
                return self.conversation.finish(Duration::ZERO).await;
            }
        };
        // From here on the deadlines between requests do not hold: pings tell whether the client is there.
        let _busy = Turn::begin(&self.peer.progress);
        let limit = Some(self.shared.max_body);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(WRITE_BYTES)
            .max_frame_size(limit)
            .max_message_size(limit);
        self.converse(Socket::from_raw_socket(upgraded, Role::Server, Some(config)).await).await;
    }

    async fn converse(&self, socket: Socket) {
        let (mut sink, mut frames) = socket.split();
        let session = self.conversation.session();
        let (ping, close) = (Notify::new(), OnceLock::new());
        let incoming = async {
            let ending = tokio::select! {
                biased;
                ending = self.read_all(&mut frames, &ping) => ending,
                () = session.closed() => Ending::Over,
                () = self.peer.draining.cancelled() => Ending::Draining,
            };
            close.get_or_init(|| ending.close());
            self.record(&ending).await;
            let grace = if matches!(ending, Ending::Draining) { FOREVER } else { Duration::ZERO };
            self.conversation.finish(grace).await;
        };
        let outgoing = async {
            if let Err(error) = self.write_all(&mut sink, &ping).await {
                tracing::debug!(%error, "the client takes nothing more");
                return session.close();
            }
            // The session is over, and all that was for the client is out.
            let close = close.get().cloned().unwrap_or_else(|| Ending::Over.close());
            if let Err(error) = sink.send(Frame::Close(Some(close))).await {
                tracing::trace!(%error, "the client has not waited for the end");
            }
        };
        let late = async {
            session.closed().await;
            sleep(GRACE).await;
        };
        let outgoing = async {
            tokio::select! {
                () = outgoing => {}
                () = late => {}
            }
        };
        tokio::join!(incoming, outgoing);
        if timeout(GRACE, self.part(sink, frames)).await.is_err() {
            tracing::debug!("the client did not close its side of the WebSocket");
        }
    }

    /// Reads messages until there is a reason to end. A message comes within two silences, however slowly.
    async fn read_all(&self, frames: &mut Frames, ping: &Notify) -> Ending {
        let mut asked = false;
        loop {
            let Ok(frame) = timeout(SILENCE, frames.next()).await else {
                if std::mem::replace(&mut asked, true) {
                    return Ending::Silent;
                }
                ping.notify_one();
                continue;
            };
            asked = false;
            match frame {
                Some(Ok(Frame::Text(text))) => self.conversation.take(text.into()).await,
                Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
                Some(Ok(Frame::Binary(bytes))) => {
                    let reason = "binary messages are not taken: MCP is text";
                    return Ending::Fault(CloseCode::Unsupported, reason, bytes.len());
                }
                Some(Ok(Frame::Close(_))) | None => return Ending::Left,
                Some(Err(error)) => return broken_by(&error),
            }
        }
    }

    /// Writes what is for the client until the session is over; what waits together leaves together.
    async fn write_all(&self, sink: &mut Sink, ping: &Notify) -> Result<(), SocketError> {
        let mut outbox = self.conversation.session().take_over();
        loop {
            tokio::select! {
                biased;
                () = ping.notified() => sink.feed(Frame::Ping(Bytes::new())).await?,
                message = outbox.next() => match message {
                    Some(message) => sink.feed(text(message)?).await?,
                    None => return sink.flush().await,
                },
            }
            while let Some(message) = outbox.try_next() {
                sink.feed(text(message)?).await?;
            }
            sink.flush().await?;
        }
    }

    /// Leaves a row of what the client did wrong.
    async fn record(&self, ending: &Ending) {
        match ending {
            Ending::TooLarge(size) => {
                self.conversation.oversized(*size, self.shared.max_body).await;
            }
            Ending::Fault(_, reason, size) => {
                let failure = Failure::new(ErrorKind::BadTransport, *reason);
                let _: Reply = self.shared.router.refuse(&self.caller, failure, None, *size).await;
            }
            Ending::Left | Ending::Over | Ending::Draining | Ending::Silent => {}
        }
    }

    /// Waits for the client to close its side, so that it has read everything before the connection goes.
    async fn part(&self, sink: Sink, mut frames: Frames) {
        while let Some(Ok(_)) = frames.next().await {}
        let Ok(socket) = sink.reunite(frames) else { return };
        self.peer.progress.linger();
        if let Err(error) = socket.into_inner().shutdown().await {
            tracing::trace!(%error, "the connection was gone already");
        }
    }
}

/// What a failed read means (RFC 6455, section 7.4.1).
#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else fails, the connection is gone")]
fn broken_by(error: &SocketError) -> Ending {
    match error {
        SocketError::Capacity(CapacityError::MessageTooLong { size, .. }) => {
            Ending::TooLarge(*size)
        }
        SocketError::Utf8(_) => Ending::Fault(CloseCode::Invalid, "the text is not UTF-8", 0),
        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ending::Left,
        SocketError::Protocol(violation) => {
            tracing::debug!(%violation, "the client does not keep to the WebSocket protocol");
            Ending::Fault(CloseCode::Protocol, "the WebSocket protocol is violated", 0)
        }
        error => {
            tracing::debug!(%error, "the WebSocket broke off");
            Ending::Left
        }
    }
}

fn text(message: Bytes) -> Result<Frame, SocketError> {
    Ok(Frame::Text(Utf8Bytes::try_from(message)?))
}

#[cfg(test)]
mod tests;
