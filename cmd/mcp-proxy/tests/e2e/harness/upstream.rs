//! A scripted MCP server. It remembers every message and counts every byte
//! that reached it, so that "nothing was forwarded" can be shown.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::http::{Conn, Head};
use super::script;
use super::wait::until_some;

/// Which transport the server speaks, and how.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kind {
    /// Streamable HTTP: hands out a session id and insists on it.
    pub(crate) stateful: bool,
    /// Streamable HTTP: answers requests with an event stream instead of JSON.
    pub(crate) sse: bool,
    /// HTTP+SSE of 2024-11-05: the path of the stream (`*` for any).
    pub(crate) legacy: Option<&'static str>,
}

/// One HTTP request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: Head,
    pub(crate) raw: Vec<u8>,
    pub(crate) message: Value,
}

/// What the connections of one server share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) kind: Kind,
    received: Mutex<Vec<Received>>,
    bytes: AtomicU64,
    connections: AtomicU64,
    gates: Mutex<u64>,
    turn: Condvar,
    pub(crate) streams: Mutex<HashMap<String, Sender<String>>>,
    sockets: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
    mute: AtomicBool,
    sessions: AtomicU64,
}

impl Shared {
    /// Waits until the test lets one held answer go, or the server stops.
    pub(crate) fn wait_for_release(&self) {
        let mut gates = self.gates.lock().unwrap();
        while *gates == 0 && !self.stopped.load(Ordering::Relaxed) {
            gates = self.turn.wait_timeout(gates, Duration::from_millis(50)).unwrap().0;
        }
        *gates = gates.saturating_sub(1);
    }

    /// Parks this connection until the server stops.
    pub(crate) fn never(&self) {
        while !self.stopped.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The client's answer to the server request `id`, or `None` when none comes.
    pub(crate) fn answer_of_client(&self, id: &str) -> Option<Value> {
        for _ in 0..1_000 {
            let received = self.received.lock().unwrap();
            let found = received
                .iter()
                .rev()
                .find(|one| one.message["id"] == id && one.message.get("method").is_none());
            if let Some(found) = found {
                return Some(found.message.clone());
            }
            drop(received);
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

/// The running server; it stops when dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Upstream {
    pub(crate) fn start(kind: Kind) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), kind)
    }

    /// The usual one: Streamable HTTP with sessions, answering with JSON.
    pub(crate) fn plain() -> Self {
        Self::start(Kind { stateful: true, ..Kind::default() })
    }

    #[track_caller]
    pub(crate) fn start_at(addr: SocketAddr, kind: Kind) -> Self {
        let listener =
            until_some("the port of the fake server is free", || TcpListener::bind(addr).ok());
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { kind, ..Shared::default() });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.stopped.load(Ordering::Relaxed) {
                    break;
                }
                serving.connections.fetch_add(1, Ordering::Relaxed);
                serving.sockets.lock().unwrap().push(stream.try_clone().unwrap());
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || serve(&shared, stream));
            }
        });
        Self { addr, shared }
    }

    /// Every message that arrived, oldest first.
    pub(crate) fn messages(&self) -> Vec<Value> {
        self.received()
            .into_iter()
            .map(|one| one.message)
            .filter(|message| !message.is_null())
            .collect()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The messages of one method.
    pub(crate) fn of_method(&self, method: &str) -> Vec<Value> {
        self.messages().into_iter().filter(|message| message["method"] == method).collect()
    }

    /// The tools that were called, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = self.of_method("tools/call").into_iter();
        calls
            .map(|message| message["params"]["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// The bytes of all requests that were read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Waits for the first message that `fits`.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        until_some(what, || self.messages().into_iter().find(&fits))
    }

    /// Lets one held answer go.
    pub(crate) fn release(&self) {
        *self.shared.gates.lock().unwrap() += 1;
        self.shared.turn.notify_all();
    }

    /// From now on nothing that is posted gets any answer, or it does again.
    pub(crate) fn mute(&self, on: bool) {
        self.shared.mute.store(on, Ordering::SeqCst);
    }

    /// How many streams are open for messages of the server's own.
    pub(crate) fn open_streams(&self) -> usize {
        self.shared.streams.lock().unwrap().len()
    }

    /// Sends a message of the server's own over every open stream.
    pub(crate) fn push(&self, message: &Value) {
        for stream in self.shared.streams.lock().unwrap().values() {
            drop(stream.send(message.to_string()));
        }
    }

    /// Closes the listener and every connection.
    pub(crate) fn stop(&self) {
        if self.shared.stopped.swap(true, Ordering::SeqCst) {
            return;
        }
        drop(TcpStream::connect(self.addr));
        self.shared.streams.lock().unwrap().clear();
        for socket in self.shared.sockets.lock().unwrap().drain(..) {
            drop(socket.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(shared: &Arc<Shared>, stream: TcpStream) {
    let mut conn = Conn::over(stream);
    conn.patience(None);
    let mut counted = 0;
    while let Ok(head) = conn.read_head() {
        let Ok(raw) = conn.read_body() else { return };
        shared.bytes.fetch_add(conn.raw_read - counted, Ordering::SeqCst);
        counted = conn.raw_read;
        let message = serde_json::from_slice(&raw).unwrap_or(Value::Null);
        let received = Received { head, raw, message };
        shared.received.lock().unwrap().push(received.clone());
        if !respond(shared, &mut conn, &received) {
            conn.close();
            return;
        }
    }
}

/// Answers one request; false when the connection is to be closed.
fn respond(shared: &Arc<Shared>, conn: &mut Conn, received: &Received) -> bool {
    let mut line = received.head.first_line.split(' ');
    let (method, path) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
    match (method, shared.kind.legacy) {
        ("GET", Some(wanted)) if wanted == "*" || wanted == path => {
            let session = shared.sessions.fetch_add(1, Ordering::Relaxed).to_string();
            hold_stream(shared, conn, session, true)
        }
        ("POST", Some(_)) if path.starts_with("/message?sessionId=") => {
            let session = path.rsplit('=').next().unwrap_or_default();
            let Some(stream) = shared.streams.lock().unwrap().get(session).cloned() else {
                return plain(conn, "404 Not Found", "", "no such session");
            };
            if shared.mute.load(Ordering::SeqCst) {
                shared.never();
                return false;
            }
            let (shared, message) = (Arc::clone(shared), received.message.clone());
            std::thread::spawn(move || {
                script::answer(&shared, &message, &mut Reply::Stream(stream))
            });
            plain(conn, "202 Accepted", "", "Accepted")
        }
        (_, Some(_)) => plain(conn, "404 Not Found", "", "not here"),
        ("POST", None) if path == "/mcp" => post(shared, conn, received),
        ("GET", None) if path == "/mcp" && shared.kind.stateful => {
            let session = received.head.header("mcp-session-id").unwrap_or_default().to_owned();
            hold_stream(shared, conn, session, false)
        }
        ("DELETE", None) if path == "/mcp" && shared.kind.stateful => plain(conn, "200 OK", "", ""),
        (_, None) if path == "/mcp" => plain(conn, "405 Method Not Allowed", "Allow: POST\r\n", ""),
        _ => plain(conn, "404 Not Found", "", "not here"),
    }
}

fn post(shared: &Arc<Shared>, conn: &mut Conn, received: &Received) -> bool {
    if shared.mute.load(Ordering::SeqCst) {
        shared.never();
        return false;
    }
    let message = &received.message;
    let session = received.head.header("mcp-session-id");
    let starting = message["method"] == "initialize";
    if shared.kind.stateful && !starting && session.is_none_or(str::is_empty) {
        return plain(conn, "400 Bad Request", "", "a session id is needed");
    }
    if message.get("id").is_none() || message.get("method").is_none() {
        return plain(conn, "202 Accepted", "", "");
    }
    let mut extra = String::new();
    if shared.kind.stateful && starting {
        let number = shared.sessions.fetch_add(1, Ordering::Relaxed);
        extra = format!("Mcp-Session-Id: upstream-{number}\r\n");
    }
    let mut reply = Reply::Http { conn, sse: shared.kind.sse, open: false, extra, alive: true };
    script::answer(shared, message, &mut reply);
    reply.end()
}

/// Keeps a stream open and writes what is pushed to it, until either side ends it.
fn hold_stream(shared: &Arc<Shared>, conn: &mut Conn, session: String, legacy: bool) -> bool {
    let (sender, events): (Sender<String>, Receiver<String>) = channel();
    let mut text =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            .to_owned();
    if legacy {
        text.push_str(&format!("event: endpoint\ndata: /message?sessionId={session}\n\n"));
    }
    shared.streams.lock().unwrap().insert(session.clone(), sender);
    let mut alive = conn.write(text.as_bytes()).is_ok();
    while alive && !shared.stopped.load(Ordering::Relaxed) {
        match events.recv_timeout(Duration::from_millis(200)) {
            Ok(data) => {
                alive = conn.write(format!("event: message\ndata: {data}\n\n").as_bytes()).is_ok()
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                alive = conn.write(b": still here\n\n").is_ok()
            }
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    shared.streams.lock().unwrap().remove(&session);
    false
}

/// Writes a whole answer; always true, so that the connection is kept.
pub(crate) fn plain(conn: &mut Conn, status: &str, extra: &str, body: &str) -> bool {
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{extra}\r\n{body}", body.len());
    conn.write(text.as_bytes()).is_ok()
}

/// Where the answer to one message goes.
#[derive(Debug)]
pub(crate) enum Reply<'a> {
    /// The answer of a POST: one JSON document, or a stream of events.
    Http { conn: &'a mut Conn, sse: bool, open: bool, extra: String, alive: bool },
    /// The stream of a session of HTTP+SSE.
    Stream(Sender<String>),
}

impl Reply<'_> {
    /// Sends a message that is not the last one.
    pub(crate) fn event(&mut self, message: &Value) {
        match self {
            Self::Http { conn, open, extra, alive, .. } => {
                let mut text = String::new();
                if !*open {
                    *open = true;
                    text = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n{extra}\r\n"
                    );
                }
                let event = format!("event: message\ndata: {message}\n\n");
                text.push_str(&format!("{:x}\r\n{event}\r\n", event.len()));
                *alive &= conn.write(text.as_bytes()).is_ok();
            }
            Self::Stream(stream) => drop(stream.send(message.to_string())),
        }
    }

    /// Sends the last message, as a document when nothing was streamed before.
    pub(crate) fn finish(&mut self, message: &Value) {
        match self {
            Self::Http { conn, sse: false, open: false, extra, alive } => {
                let extra = format!("Content-Type: application/json\r\n{extra}");
                *alive &= plain(conn, "200 OK", &extra, &message.to_string());
            }
            Self::Http { .. } | Self::Stream(_) => self.event(message),
        }
    }

    /// Sends any bytes instead of an answer, and then closes the connection.
    pub(crate) fn break_off(&mut self, bytes: &str) {
        if let Self::Http { conn, alive, .. } = self {
            drop(conn.write(bytes.as_bytes()));
            *alive = false;
        }
    }

    /// Sends a whole HTTP answer of any status.
    pub(crate) fn status(&mut self, status: &str, extra: &str, body: &str) {
        if let Self::Http { conn, alive, .. } = self {
            *alive &= plain(conn, status, extra, body);
        }
    }

    fn end(self) -> bool {
        match self {
            Self::Http { conn, open: true, alive: true, .. } => conn.write(b"0\r\n\r\n").is_ok(),
            Self::Http { alive, .. } => alive,
            Self::Stream(_) => true,
        }
    }
}
