//! The WebSocket client (RFC 6455, subprotocol `mcp`): one text message is one message of MCP.
//!
//! Invariants: an address that answers with anything but the upgrade and the subprotocol is not
//! spoken to; no redirect is followed and no extension is used; a server that falls silent is asked
//! by pings, and only while the gateway is reading.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::Failure;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{Error as SocketError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message as Frame, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::duplex::{End, Out, QUEUE, Wire};
use crate::http::{tcp, tls};
use crate::server::GRACE;
use crate::session::Miss;
use crate::target::Target;
use crate::{Config, Error, failure};

/// What both sides must name in the handshake.
const SUBPROTOCOL: HeaderValue = HeaderValue::from_static("mcp");
/// How long a server may be silent before it is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(20);
/// Pings without any answer after which the connection counts as dead.
const UNANSWERED: u32 = 2;
/// Read at once; it is held by every connection.
const READ_BYTES: usize = 8 << 10;
/// Messages that wait together leave in writes of about this size.
const WRITE_BYTES: usize = 16 << 10;

type Socket = WebSocketStream<TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>>;

/// Opens WebSockets to the server of one configuration.
pub(crate) struct WebSocketClient {
    connector: HttpsConnector<HttpConnector>,
    limits: WebSocketConfig,
}

impl WebSocketClient {
    /// A client; nothing is dialled.
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(WRITE_BYTES)
            .max_frame_size(Some(config.max_message_bytes))
            .max_message_size(Some(config.max_message_bytes));
        // The handshake is of HTTP/1.1: another protocol must not be negotiated.
        Ok(Self { connector: tls()?.enable_http1().wrap_connector(tcp()), limits })
    }

    async fn dial(&self, target: &Target) -> Result<Socket, Miss> {
        let shown = target.shown();
        let unreachable = |error: &dyn std::error::Error| {
            failure::unreachable(format!("{shown}: {}", failure::chain(error)))
        };
        let request = target.uri().clone().into_client_request();
        let mut request = request.map_err(|error| unreachable(&error))?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        let stream = self.connector.clone().oneshot(target.http_uri().clone()).await;
        let stream = TokioIo::new(stream.map_err(|error| unreachable(&*error))?);
        match client_async_with_config(request, stream, Some(self.limits)).await {
            Ok((socket, _)) => Ok(socket),
            Err(SocketError::Http(response)) => Err(Miss::of_status(response.status(), target)),
            Err(SocketError::Protocol(problem)) => {
                let detail =
                    format!("{shown} is no WebSocket with the subprotocol `mcp`: {problem}");
                Err(Miss::NotHere(failure::protocol(detail).unsent()))
            }
            Err(error) => Err(unreachable(&error).into()),
        }
    }
}

/// Opens a WebSocket and serves it in the background.
///
/// # Errors
///
/// A miss when nothing at the address speaks WebSocket and `mcp`, a failure otherwise.
pub(crate) async fn open(
    client: &WebSocketClient,
    target: &Target,
    end: &Arc<End>,
    stop: CancellationToken,
) -> Result<Wire, Miss> {
    let limit = end.shared().timeout();
    let late = |_| failure::timeout(limit, end.shared().name()).unsent();
    let socket = timeout(limit, client.dial(target)).await.map_err(late)??;
    let (queue, waiting) = mpsc::channel(QUEUE);
    let gone = CancellationToken::new();
    let over = gone.clone().drop_guard();
    // Boxed, as the async block around it would make room for it again.
    let serving = Box::pin(serve(socket, waiting, Arc::clone(end), stop.clone()));
    tokio::spawn(async move {
        serving.await;
        drop(over);
    });
    Ok(Wire::new(end, Out::Queue(queue, gone), stop))
}

/// Why a connection ends that was not asked to.
struct Ending {
    /// What the server is told.
    code: CloseCode,
    failure: Failure,
}

impl Ending {
    fn new(code: CloseCode, failure: Failure) -> Self {
        Self { code, failure }
    }

    /// The connection is gone, or the server closes it.
    fn broken(detail: impl std::fmt::Display) -> Self {
        Self::new(CloseCode::Normal, failure::broken(detail))
    }

    /// The server does what the protocol forbids.
    fn protocol(code: CloseCode, detail: impl std::fmt::Display) -> Self {
        Self::new(code, failure::protocol(detail))
    }
}

/// Serves a connection until either side ends it.
async fn serve(
    socket: Socket,
    waiting: mpsc::Receiver<Bytes>,
    end: Arc<End>,
    stop: CancellationToken,
) {
    let (mut sink, mut frames) = socket.split();
    let ping = Notify::new();
    let ending = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        ending = read_all(&mut frames, &end, &ping) => Some(ending),
        written = write_all(&mut sink, waiting, &ping) => {
            let Err(error) = written;
            Some(Ending::broken(failure::chain(&error)))
        }
    };
    let code = ending.as_ref().map_or(CloseCode::Normal, |ending| ending.code);
    if let Some(Ending { failure, .. }) = ending {
        end.shared().lost(&failure);
        end.died(failure);
    }
    if timeout(GRACE, say_goodbye(sink, frames, code)).await.is_err() {
        tracing::debug!("the server did not close its side of the WebSocket");
    }
}

async fn read_all(frames: &mut SplitStream<Socket>, end: &End, ping: &Notify) -> Ending {
    let mut unanswered = 0;
    loop {
        let Ok(frame) = timeout(SILENCE, frames.next()).await else {
            if unanswered == UNANSWERED {
                return Ending::broken("the server answers no ping");
            }
            unanswered += 1;
            ping.notify_one();
            continue;
        };
        unanswered = 0;
        match frame {
            Some(Ok(Frame::Text(text))) => end.receive(text.into()).await,
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
            Some(Ok(Frame::Binary(_))) => {
                return Ending::protocol(
                    CloseCode::Unsupported,
                    "a binary message on the WebSocket",
                );
            }
            Some(Ok(Frame::Close(close))) => return closed(close),
            Some(Err(error)) => return broken_by(error, end.shared().config().max_message_bytes),
            None => return Ending::broken("the server closed the WebSocket"),
        }
    }
}

fn closed(close: Option<CloseFrame>) -> Ending {
    Ending::broken(match close {
        Some(CloseFrame { code, reason }) => {
            format!("the server closed the WebSocket with code {code} ({:?})", reason.as_str())
        }
        None => "the server closed the WebSocket without a code".to_owned(),
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else fails, the connection is gone")]
fn broken_by(error: SocketError, limit: usize) -> Ending {
    match error {
        SocketError::Capacity(_) => Ending::new(CloseCode::Size, failure::too_large(limit)),
        SocketError::Utf8(what) => Ending::protocol(CloseCode::Invalid, what),
        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            Ending::broken("the server broke the WebSocket off")
        }
        SocketError::Protocol(what) => Ending::protocol(CloseCode::Protocol, what),
        error => Ending::broken(failure::chain(&error)),
    }
}

/// Writes messages as they come; those that wait leave together.
async fn write_all(
    sink: &mut SplitSink<Socket, Frame>,
    mut waiting: mpsc::Receiver<Bytes>,
    ping: &Notify,
) -> Result<Infallible, SocketError> {
    loop {
        tokio::select! {
            biased;
            () = ping.notified() => sink.feed(Frame::Ping(Bytes::new())).await?,
            Some(message) = waiting.recv() => sink.feed(text(message)?).await?,
        }
        while let Ok(message) = waiting.try_recv() {
            sink.feed(text(message)?).await?;
        }
        sink.flush().await?;
    }
}

fn text(message: Bytes) -> Result<Frame, SocketError> {
    Ok(Frame::Text(Utf8Bytes::try_from(message)?))
}

/// Says why the connection ends, or answers who said so first, and reads on until the other side
/// has closed it.
async fn say_goodbye(
    mut sink: SplitSink<Socket, Frame>,
    mut frames: SplitStream<Socket>,
    code: CloseCode,
) {
    let close = CloseFrame { code, reason: Utf8Bytes::default() };
    if let Err(error) = sink.send(Frame::Close(Some(close))).await {
        tracing::trace!(%error, "the WebSocket was gone already");
    }
    while let Some(Ok(_)) = frames.next().await {}
}
