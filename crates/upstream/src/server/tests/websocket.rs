use super::*;
use bytes::Bytes;
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Message as Frame, Utf8Bytes, protocol};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// A port that takes WebSockets.
struct Port(TcpListener);

/// The server's end of one.
struct Peer(WebSocketStream<TcpStream>);

#[expect(clippy::result_large_err, reason = "the signature is the library's")]
fn agree(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    assert_eq!(request.uri(), "/mcp?key=1");
    let offered = request.headers().get("sec-websocket-protocol").unwrap();
    response.headers_mut().insert("sec-websocket-protocol", offered.clone());
    Ok(response)
}

impl Port {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn config(&self) -> Config {
        config(format!("ws://{}/mcp?key=1", self.0.local_addr().unwrap()))
    }

    async fn accept(&self) -> Peer {
        let (stream, _) = timeout(PATIENCE, self.0.accept()).await.expect("a connection").unwrap();
        Peer(accept_hdr_async(stream, agree).await.unwrap())
    }

    /// A rig whose session is initialised, and the server's end.
    async fn open(&self, config: Config) -> (Rig, Peer) {
        let rig = Rig::new(config);
        let ((), peer) = tokio::join!(rig.initialize(), async {
            let mut peer = self.accept().await;
            peer.greet().await;
            peer
        });
        (rig, peer)
    }
}

impl Peer {
    /// The next thing that is no ping or pong.
    async fn frame(&mut self) -> Frame {
        loop {
            let frame = timeout(PATIENCE, self.0.next()).await.expect("a frame in time");
            let frame = frame.expect("no end").expect("no failure");
            if !frame.is_ping() && !frame.is_pong() {
                return frame;
            }
        }
    }

    async fn message(&mut self) -> Value {
        let frame = self.frame().await;
        serde_json::from_str(frame.to_text().unwrap()).unwrap()
    }

    async fn send(&mut self, frame: Frame) {
        self.0.send(frame).await.unwrap();
    }

    async fn answer(&mut self, request: &Value, result: Value) {
        let answer = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result });
        self.send(Frame::text(answer.to_string())).await;
    }

    async fn greet(&mut self) {
        let request = self.message().await;
        assert_eq!(request["method"], "initialize");
        let version = &request["params"]["protocolVersion"];
        let server = json!({ "name": "ws", "version": "1" });
        let result =
            json!({ "protocolVersion": version, "capabilities": {}, "serverInfo": server });
        self.answer(&request, result).await;
        assert_eq!(self.message().await["method"], "notifications/initialized");
    }

    /// The code that the gateway closes with.
    async fn close_code(&mut self) -> CloseCode {
        let Frame::Close(Some(close)) = self.frame().await else { panic!("not closed") };
        // Reading on sends the answer to the close.
        while let Some(Ok(_)) = timeout(PATIENCE, self.0.next()).await.expect("the end") {}
        close.code
    }
}

#[tokio::test]
async fn answers_find_their_requests() {
    let port = Port::new().await;
    let (rig, mut peer) = port.open(port.config()).await;
    let calls = (0..20).map(|id| rig.ask(call(id, &format!("tool-{id}"))));
    let serve = async {
        let mut requests = Vec::new();
        while requests.len() < 20 {
            requests.push(peer.message().await);
        }
        for request in requests.iter().rev() {
            peer.answer(request, request["params"]["name"].clone()).await;
        }
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(calls), serve);
    for (id, answer) in answers.iter().enumerate() {
        said(answer, &format!("\"tool-{id}\""));
    }
    let view = rig.server.view();
    let shown = port.config().url.unwrap().replace("?key=1", "");
    assert_eq!((view.transport, view.url), ("websocket", Some(shown.as_str())));
    rig.server.check().await;
    assert_eq!(rig.server.health(), domain::Health::Up);
}

#[tokio::test]
async fn requests_of_the_server_come_through_the_inbox() {
    let port = Port::new().await;
    let (mut rig, mut peer) = port.open(port.config()).await;
    peer.send(Frame::text(r#"{"jsonrpc":"2.0","id":"s1","method":"roots/list"}"#)).await;
    let request = rig.delivered().await;
    rig.connection.refuse(&request, &Failure::new(ErrorKind::PolicyDenied, "denied")).await;
    let refusal = peer.message().await;
    assert_eq!((&refusal["id"], &refusal["error"]["code"]), (&json!("s1"), &json!(-31001)));
}

#[tokio::test]
async fn a_server_that_closes_is_connected_to_again() {
    let port = Port::new().await;
    let (rig, mut peer) = port.open(port.config()).await;
    let away = CloseFrame { code: CloseCode::Away, reason: Utf8Bytes::from_static("restart") };
    let (failure, mut peer) = tokio::join!(rig.failure(call(1, "lost")), async {
        peer.message().await;
        peer.send(Frame::Close(Some(away))).await;
        // The close is answered in kind, and the client's opening words are repeated.
        assert_eq!(peer.close_code().await, CloseCode::Away);
        let mut peer = port.accept().await;
        peer.greet().await;
        peer
    });
    failed(&failure, ErrorKind::UpstreamError, "code 1001");
    assert!(!failure.unsent, "{failure:?}");
    let (answer, ()) = tokio::join!(rig.ask(call(2, "echo")), async {
        let request = peer.message().await;
        peer.answer(&request, json!("again")).await;
    });
    said(&answer, "again");
}

#[tokio::test]
async fn what_no_message_can_be_closes_with_its_code() {
    let cut = protocol::frame::Frame::message(&b"\xff\xfe"[..], OpCode::Data(Data::Text), true);
    let reserved = protocol::frame::Frame::message("", OpCode::Data(Data::Reserved(3)), true);
    for (frame, code, expected) in [
        (Frame::text("x".repeat(5000)), CloseCode::Size, "max_message_bytes"),
        (Frame::binary(&b"{}"[..]), CloseCode::Unsupported, "binary"),
        (Frame::Frame(cut), CloseCode::Invalid, "utf-8"),
        (Frame::Frame(reserved), CloseCode::Protocol, "opcode"),
    ] {
        let port = Port::new().await;
        let (rig, mut peer) = port.open(Config { max_message_bytes: 4096, ..port.config() }).await;
        let (failure, ()) = tokio::join!(rig.failure(call(1, "odd")), async {
            peer.message().await;
            peer.send(frame).await;
            assert_eq!(peer.close_code().await, code);
        });
        failed(&failure, ErrorKind::UpstreamError, expected);
    }
}

#[tokio::test]
async fn messages_may_come_in_pieces() {
    let port = Port::new().await;
    let (rig, mut peer) = port.open(port.config()).await;
    let (answer, ()) = tokio::join!(rig.ask(call(1, "echo")), async {
        let id = peer.message().await["id"].clone();
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"grüße"}}"#).into_bytes();
        let middle = text.iter().position(|byte| !byte.is_ascii()).unwrap() + 1;
        let (head, tail) = text.split_at(middle);
        let piece = |bytes: &[u8], code, last| {
            let bytes = Bytes::copy_from_slice(bytes);
            Frame::Frame(protocol::frame::Frame::message(bytes, OpCode::Data(code), last))
        };
        peer.send(piece(head, Data::Text, false)).await;
        peer.send(Frame::Ping(Bytes::new())).await;
        peer.send(piece(tail, Data::Continue, true)).await;
    });
    said(&answer, "grüße");
}

#[tokio::test]
async fn close_says_goodbye() {
    let port = Port::new().await;
    let (rig, mut peer) = port.open(port.config()).await;
    let (code, ()) = tokio::join!(peer.close_code(), rig.connection.close());
    assert_eq!(code, CloseCode::Normal);
    assert_eq!(rig.server.health(), domain::Health::Up, "a session's end is no failure");
}

#[tokio::test]
async fn silence_ends_the_connection_unless_pings_are_answered() {
    let long = Config { timeout: Span::secs(300), ..Port::new().await.config() };
    for (reads, kind, expected) in [
        (false, ErrorKind::UpstreamError, "answers no ping"),
        (true, ErrorKind::UpstreamTimeout, "in time"),
    ] {
        let port = Port::new().await;
        let (rig, mut peer) = port.open(Config { url: port.config().url, ..long.clone() }).await;
        let connection = Arc::clone(&rig.connection);
        let calling = tokio::spawn(async move {
            connection.send(permit(), call(1, "hang")).await.map(drop).unwrap_err()
        });
        peer.message().await;
        tokio::time::pause();
        // Reading is what answers pings.
        let reading = async { while reads && peer.0.next().await.is_some() {} };
        let waiting = async { futures_util::join!(reading, std::future::pending::<()>()) };
        let failure =
            tokio::select! { failure = calling => failure.unwrap(), _ = waiting => unreachable!() };
        tokio::time::resume();
        failed(&failure, kind, expected);
    }
}

/// A server that answers the first request with those bytes and closes; gives the request.
async fn answering(answer: &'static str) -> (Failure, Vec<u8>) {
    let port = Port::new().await;
    let mut config = port.config();
    config.retry.enabled = false;
    let rig = Rig::new(config);
    tokio::join!(rig.failure(message(INITIALIZE)), async {
        let (mut stream, _) = port.0.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let size = stream.read(&mut request).await.unwrap();
        request.truncate(size);
        stream.write_all(answer.as_bytes()).await.unwrap();
        request
    })
}

#[tokio::test]
async fn an_address_that_does_not_speak_it_is_refused() {
    for (answer, expected) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP status 404"),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "HTTP status 503"),
        ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", "HTTP status 302"),
        ("HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", "subprotocol `mcp`"),
        ("", "127.0.0.1"),
    ] {
        let (failure, request) = answering(answer).await;
        failed(&failure, ErrorKind::UpstreamError, expected);
        assert!(failure.unsent, "{failure:?}");
        let request = String::from_utf8(request).unwrap().to_ascii_lowercase();
        assert!(request.starts_with("get /mcp?key=1 http/1.1\r\n"), "{request}");
        assert!(request.contains("sec-websocket-protocol: mcp\r\n"), "{request}");
        assert!(!request.contains("sec-websocket-extensions"), "{request}");
    }
}

#[tokio::test]
async fn without_a_path_the_usual_one_is_tried_next() {
    let port = Port::new().await;
    let rig = Rig::new(config(format!("ws://{}", port.0.local_addr().unwrap())));
    let (failure, ()) = tokio::join!(rig.failure(message(INITIALIZE)), async {
        for expected in ["GET / ", "GET /ws "] {
            let (mut stream, _) = port.0.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let size = stream.read(&mut request).await.unwrap();
            assert!(request[..size].starts_with(expected.as_bytes()), "{expected}");
            stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").await.unwrap();
        }
    });
    failed(&failure, ErrorKind::UpstreamError, "HTTP status 404");
}

#[tokio::test]
async fn wss_begins_with_tls_and_offers_no_http2() {
    let port = Port::new().await;
    let mut config = port.config();
    config.url = config.url.map(|url| url.replacen("ws", "wss", 1));
    config.retry.enabled = false;
    let rig = Rig::new(config);
    let (failure, hello) = tokio::join!(rig.failure(message(INITIALIZE)), async {
        let (mut stream, _) = port.0.accept().await.unwrap();
        let mut hello = vec![0; 4096];
        let size = stream.read(&mut hello).await.unwrap();
        hello.truncate(size);
        hello
    });
    failed(&failure, ErrorKind::UpstreamError, "cannot be reached");
    assert_eq!(hello.first(), Some(&0x16), "a TLS handshake");
    assert!(!hello.windows(3).any(|part| part == b"\x02h2"), "RFC 6455 begins with HTTP/1.1");
}

#[test]
fn the_transport_fits_the_scheme() {
    for (url, transport, works) in [
        ("ws://localhost/", TransportKind::Auto, true),
        ("wss://localhost/", TransportKind::WebSocket, true),
        ("ws://localhost/", TransportKind::Http, false),
        ("ws://localhost/", TransportKind::Sse, false),
        ("http://localhost/", TransportKind::WebSocket, false),
    ] {
        let config = Config { transport, ..config(url.to_owned()) };
        let made = UpstreamServer::new(config, [], Arc::new(SystemClock));
        assert_eq!(made.is_ok(), works, "{url} {transport:?}");
        let said = made.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(works || said.contains("`upstream.transport`"), "{said}");
    }
}
