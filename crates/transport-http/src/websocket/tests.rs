//! The endpoint as a WebSocket client sees it, on a clock that advances by itself when everyone waits.

use std::sync::atomic::{AtomicUsize, Ordering};

use domain::{Answer, Transport};
use protocol::Message;
use serde_json::{Value, json};
use testkit::ports::{ScriptedUpstream, result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, BufStream, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::*;
use crate::fixture::{self, CALL, Gateway, INITIALIZE, NOTE, USUAL, post, within};
use crate::{Config, Limits, Listener};

struct Peer<S>(WebSocketStream<S>);

impl Peer<BufStream<DuplexStream>> {
    async fn connect(gateway: &Gateway) -> Self {
        Self::connect_through(gateway, 1 << 20).await
    }

    /// A connection whose buffers hold so many bytes.
    async fn connect_through(gateway: &Gateway, buffer: usize) -> Self {
        Self::over(gateway.connect_through(buffer).into_stream()).await
    }

    /// A connection with an initialized session.
    async fn open(gateway: &Gateway) -> Self {
        let mut peer = Self::connect(gateway).await;
        let answer = peer.ask(INITIALIZE).await;
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
        peer.send(Frame::text(NOTE)).await;
        peer
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    async fn over(stream: S) -> Self {
        let mut request = "ws://localhost/ws".into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "mcp".parse().unwrap());
        Self(within(client_async(request, stream)).await.unwrap().0)
    }

    async fn send(&mut self, frame: Frame) {
        within(self.0.send(frame)).await.unwrap();
    }

    /// The next thing that is no ping or pong.
    async fn frame(&mut self) -> Frame {
        loop {
            let frame = within(self.0.next()).await.expect("no end").expect("no failure");
            if !frame.is_ping() && !frame.is_pong() {
                return frame;
            }
        }
    }

    async fn message(&mut self) -> Value {
        let frame = self.frame().await;
        serde_json::from_str(frame.to_text().unwrap()).unwrap()
    }

    async fn ask(&mut self, message: &str) -> Value {
        self.send(Frame::text(message)).await;
        self.message().await
    }

    /// Waits for the gateway to close, and for the end of the connection.
    async fn close_code(&mut self) -> CloseCode {
        let Frame::Close(Some(close)) = self.frame().await else { panic!("not closed") };
        // Reading on sends the answer to the close.
        while let Some(Ok(_)) = within(self.0.next()).await {}
        close.code
    }
}

fn obliging() -> Gateway {
    Gateway::new(&Config::default(), ScriptedUpstream::obliging())
}

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways() {
    let upstream = ScriptedUpstream::new(|message, inbox| {
        Box::pin(async move {
            let note = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
            inbox.deliver(Message::parse(note.into()).unwrap()).await;
            Ok(result(&message, r#"{"text":"grüße"}"#))
        })
    });
    let gateway = Gateway::new(&Config::default(), upstream);
    let mut peer = Peer::connect(&gateway).await;
    peer.ask(INITIALIZE).await;
    assert_eq!(peer.ask(CALL).await["method"], "notifications/tools/list_changed");
    assert_eq!(
        peer.message().await,
        json!({"jsonrpc": "2.0", "id": "a", "result": {"text": "grüße"}})
    );
    let rows = within(gateway.recorder.wait_for(3)).await;
    assert!(rows.iter().all(|row| row.transport == Transport::WebSocket), "{rows:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_answered_on_an_open_connection() {
    let gateway = obliging();
    let mut peer = Peer::connect(&gateway).await;
    let answer = peer.ask("{").await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &json!(-32700)));
    assert_eq!(peer.ask(INITIALIZE).await["id"], 1);
}

fn piece(bytes: &[u8], code: Data, last: bool) -> Frame {
    Frame::Frame(RawFrame::message(bytes.to_vec(), OpCode::Data(code), last))
}

#[tokio::test(start_paused = true)]
async fn faults_close_with_their_code_and_are_recorded() {
    for (frame, code, kind) in [
        (Frame::binary(&b"{}"[..]), CloseCode::Unsupported, ErrorKind::BadTransport),
        (piece(b"\xff\xfe", Data::Text, true), CloseCode::Invalid, ErrorKind::BadTransport),
        (piece(b"", Data::Reserved(3), true), CloseCode::Protocol, ErrorKind::BadTransport),
        (piece(b"", Data::Continue, true), CloseCode::Protocol, ErrorKind::BadTransport),
    ] {
        let gateway = obliging();
        let mut peer = Peer::connect(&gateway).await;
        peer.send(frame).await;
        assert_eq!(peer.close_code().await, code);
        assert_eq!(gateway.row().await.error_kind, Some(kind));
        within(gateway.upstream.closed(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_is_refused_before_it_is_read() {
    let text = vec![b' '; 600];
    let limits = Limits { max_body_bytes: 1000, ..Limits::default() };
    for frames in [
        vec![Frame::text(" ".repeat(1001))],
        vec![piece(&text, Data::Text, false), piece(&text, Data::Continue, true)],
    ] {
        let config = Config { limits: limits.clone(), ..Config::default() };
        let gateway = Gateway::new(&config, ScriptedUpstream::obliging());
        let mut peer = Peer::connect(&gateway).await;
        for frame in frames {
            peer.send(frame).await;
        }
        let refusal = peer.message().await;
        assert_eq!(refusal["id"], Value::Null);
        assert!(refusal["error"]["message"].as_str().unwrap().contains("1000 bytes"), "{refusal}");
        assert_eq!(peer.close_code().await, CloseCode::Size);
        assert_eq!(gateway.row().await.error_kind, Some(ErrorKind::TooLarge));
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_not_masked_is_refused() {
    let gateway = obliging();
    let peer = Peer::connect(&gateway).await;
    let mut stream = peer.0.into_inner();
    stream.write_all(b"\x81\x02{}").await.unwrap();
    stream.flush().await.unwrap();
    let mut close = [0; 4];
    within(stream.read_exact(&mut close)).await.unwrap();
    assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 1002));
}

#[tokio::test(start_paused = true)]
async fn the_session_ends_with_the_connection() {
    let gateway = obliging();
    let mut peer = Peer::open(&gateway).await;
    let normal = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
    peer.send(Frame::Close(Some(normal))).await;
    assert_eq!(peer.close_code().await, CloseCode::Normal);
    within(gateway.upstream.closed(1)).await;

    drop(Peer::open(&gateway).await);
    within(gateway.upstream.closed(2)).await;

    // A client that sends nothing more, though it would still read.
    let mut half = Peer::open(&gateway).await.0.into_inner();
    half.shutdown().await.unwrap();
    within(gateway.upstream.closed(3)).await;
    assert_eq!(gateway.router.sessions().all().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_closes_the_connection() {
    let gateway = obliging();
    let mut peer = Peer::open(&gateway).await;
    gateway.router.close_all().await;
    assert_eq!(peer.close_code().await, CloseCode::Normal);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_stays() {
    let gateway = obliging();
    let mut peer = Peer::open(&gateway).await;
    let quiet = tokio::time::timeout(Duration::from_secs(1000), peer.frame()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    assert_eq!(peer.ask(CALL).await["id"], "a");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_left() {
    let gateway = obliging();
    let mut peer = Peer::open(&gateway).await;
    within(gateway.recorder.wait_for(2)).await;
    let begin = tokio::time::Instant::now();
    within(gateway.upstream.closed(1)).await;
    assert_eq!(begin.elapsed().as_secs(), 2 * SILENCE.as_secs());
    assert_eq!(peer.close_code().await, CloseCode::Error);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_left_and_bounded() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let upstream = ScriptedUpstream::new(move |_, inbox| {
        let counter = Arc::clone(&counter);
        Box::pin(async move {
            let text = "x".repeat(1000);
            let note = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":"{text}"}}}}"#
            );
            loop {
                inbox.deliver(Message::parse(note.clone().into()).unwrap()).await;
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        })
    });
    let gateway = Gateway::new(&Config::default(), upstream);
    let mut peer = Peer::connect_through(&gateway, 4096).await;
    peer.ask(INITIALIZE).await;
    let begin = tokio::time::Instant::now();
    peer.send(Frame::text(CALL)).await;
    within(gateway.upstream.closed(1)).await;
    assert_eq!(begin.elapsed(), Config::default().write_timeout.duration());
    assert!(sent.load(Ordering::Relaxed) < 300, "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn answers_under_way_leave_before_the_gateway_does() {
    let (asked, began) = oneshot::channel();
    let asked = std::sync::Mutex::new(Some(asked));
    let gate = Arc::new(Semaphore::new(0));
    let pass = Arc::clone(&gate);
    let upstream = ScriptedUpstream::new(move |message, _| {
        if message.id().is_none() {
            return Box::pin(async { Ok(Answer::Accepted) });
        }
        asked.lock().unwrap().take().unwrap().send(()).unwrap();
        let pass = Arc::clone(&pass);
        Box::pin(async move {
            drop(pass.acquire().await.unwrap());
            Ok(result(&message, "{}"))
        })
    });
    let gateway = Gateway::new(&Config::default(), upstream);
    let mut peer = Peer::open(&gateway).await;
    peer.send(Frame::text(CALL)).await;
    within(began).await.unwrap();
    gateway.shutdown.cancel();
    gate.add_permits(1);
    assert_eq!(peer.message().await["id"], "a");
    assert_eq!(peer.close_code().await, CloseCode::Away);
    within(gateway.upstream.closed(1)).await;
}

#[tokio::test]
async fn it_is_a_connection_of_the_port() {
    let mut config = Config { max_connections: 1, ..Config::default() };
    config.listen.port = 0;
    let gateway = Gateway::new(&config, ScriptedUpstream::obliging());
    let listener = Listener::bind(&config).await.unwrap();
    let address = listener.local_addr();
    let done = tokio::spawn(listener.serve(gateway.app.clone(), gateway.shutdown.clone()));
    let mut peer = Peer::over(TcpStream::connect(address).await.unwrap()).await;
    peer.ask(INITIALIZE).await;
    let mut other = fixture::Client::over(TcpStream::connect(address).await.unwrap());
    assert_eq!(other.ask(&post(USUAL, INITIALIZE)).await.status, 503, "its place is taken");
    gateway.shutdown.cancel();
    assert_eq!(peer.close_code().await, CloseCode::Away);
    within(done).await.unwrap().unwrap();
}
