//! A server whose behaviour a test writes down as a function, of either era.
//!
//! Unlike [`super::Upstream`] it knows which sessions it has opened, forgets
//! them when told, and lets a test write the answer byte by byte.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Conn, Head};
use super::upstream::{Received, plain};
use super::wait::{PATIENCE, until_some};

/// The revision without sessions.
pub(crate) const MODERN: &str = "2026-07-28";

/// What a test adds to the usual behaviour: true when it answered the request itself.
type Behaviour = dyn Fn(&mut Exchange<'_>) -> bool + Send + Sync;

/// A turnstile between the test and the server: each `open` lets one `wait` pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<u64>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() += 1;
        self.0.1.notify_all();
    }

    /// Panics when nobody opens it in time, which breaks the connection of a server that waits.
    #[track_caller]
    pub(crate) fn wait(&self) {
        let shut = self.0.0.lock().unwrap();
        let (mut left, late) = self
            .0
            .1
            .wait_timeout_while(shut, Duration::from_secs(8), |left| *left == 0)
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        assert!(!late.timed_out(), "nobody opened the gate");
        *left -= 1;
    }
}

/// Which era the server speaks. It knows no other.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Era {
    Legacy,
    Modern,
}

struct State {
    era: Era,
    behaviour: Box<Behaviour>,
    received: Mutex<Vec<Received>>,
    sessions: Mutex<HashMap<String, Option<Sender<String>>>>,
    opened: AtomicU64,
    listened: AtomicU64,
    forgetful: Mutex<(&'static str, &'static str)>,
    sockets: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("State").field("era", &self.era).finish_non_exhaustive()
    }
}

/// The running server; it stops when dropped.
#[derive(Debug)]
pub(crate) struct Stub {
    pub(crate) addr: SocketAddr,
    state: Arc<State>,
}

impl Stub {
    /// A server with sessions, at most of 2025-11-25.
    pub(crate) fn legacy(
        behaviour: impl Fn(&mut Exchange<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0)), Era::Legacy, Box::new(behaviour))
    }

    /// Such a server at the address of one that stopped.
    pub(crate) fn legacy_at(
        addr: SocketAddr,
        behaviour: impl Fn(&mut Exchange<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::start(addr, Era::Legacy, Box::new(behaviour))
    }

    /// A server without sessions: 2026-07-28 and nothing else.
    pub(crate) fn modern(
        behaviour: impl Fn(&mut Exchange<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0)), Era::Modern, Box::new(behaviour))
    }

    /// Such a server at the address of one that stopped.
    pub(crate) fn modern_at(
        addr: SocketAddr,
        behaviour: impl Fn(&mut Exchange<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::start(addr, Era::Modern, Box::new(behaviour))
    }

    fn start(addr: SocketAddr, era: Era, behaviour: Box<Behaviour>) -> Self {
        let listener = until_some("the port of the stub is free", || TcpListener::bind(addr).ok());
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State {
            era,
            behaviour,
            received: Mutex::default(),
            sessions: Mutex::default(),
            opened: AtomicU64::new(0),
            listened: AtomicU64::new(0),
            forgetful: Mutex::new(("404 Not Found", "Session not found")),
            sockets: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.stopped.load(Ordering::SeqCst) {
                    break;
                }
                serving.sockets.lock().unwrap().push(stream.try_clone().unwrap());
                let state = Arc::clone(&serving);
                std::thread::spawn(move || serve(&state, stream));
            }
        });
        Self { addr, state }
    }

    /// Every request that arrived, oldest first.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// The messages of one method.
    pub(crate) fn of_method(&self, method: &str) -> Vec<Value> {
        let received = self.received().into_iter().map(|one| one.message);
        received.filter(|message| message["method"] == method).collect()
    }

    /// Waits for the first message that `fits`.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        until_some(what, || {
            self.received().into_iter().map(|one| one.message).find(|message| fits(message))
        })
    }

    /// Forgets all sessions and closes their streams, as a restarted process would.
    pub(crate) fn forget(&self) {
        self.state.sessions.lock().unwrap().clear();
    }

    /// What a message of an unknown session gets from now on.
    pub(crate) fn say_to_strangers(&self, status: &'static str, body: &'static str) {
        *self.state.forgetful.lock().unwrap() = (status, body);
    }

    /// How many sessions were ever opened.
    pub(crate) fn opened(&self) -> u64 {
        self.state.opened.load(Ordering::SeqCst)
    }

    /// How many sessions are open.
    pub(crate) fn sessions(&self) -> usize {
        self.state.sessions.lock().unwrap().len()
    }

    /// How many sessions have a stream for messages of the server's own.
    pub(crate) fn streams(&self) -> usize {
        self.state.sessions.lock().unwrap().values().flatten().count()
    }

    /// How many such streams were ever opened.
    pub(crate) fn listened(&self) -> u64 {
        self.state.listened.load(Ordering::SeqCst)
    }

    /// Sends a message of the server's own on every such stream.
    pub(crate) fn push(&self, message: &Value) {
        for stream in self.state.sessions.lock().unwrap().values().flatten() {
            drop(stream.send(message.to_string()));
        }
    }

    /// Closes the listener and every connection.
    pub(crate) fn stop(&self) {
        if self.state.stopped.swap(true, Ordering::SeqCst) {
            return;
        }
        drop(TcpStream::connect(self.addr));
        self.forget();
        for socket in self.state.sockets.lock().unwrap().drain(..) {
            drop(socket.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One HTTP request and the answer to it.
pub(crate) struct Exchange<'a> {
    pub(crate) head: &'a Head,
    pub(crate) message: &'a Value,
    state: &'a State,
    conn: &'a mut Conn,
    open: bool,
    keep: bool,
}

impl Exchange<'_> {
    pub(crate) fn method(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }

    /// The tool that is called; empty for any other message.
    pub(crate) fn tool(&self) -> &str {
        self.message["params"]["name"].as_str().unwrap_or_default()
    }

    /// The messages that came before, this one included.
    pub(crate) fn wait_for(&self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        for _ in 0..1_000 {
            let received = self.state.received.lock().unwrap();
            if let Some(found) = received.iter().rev().find(|one| fits(&one.message)) {
                return Some(found.message.clone());
            }
            drop(received);
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// How many calls of this tool the session has sent.
    pub(crate) fn asked(&self, session: &str) -> u64 {
        let received = self.state.received.lock().unwrap();
        let fits = |one: &&Received| {
            one.message["params"]["name"] == self.message["params"]["name"]
                && one.head.header("mcp-session-id") == Some(session)
        };
        u64::try_from(received.iter().filter(fits).count()).unwrap()
    }

    /// What the client of `session` answered to the server's own request `id`; null when nothing came.
    pub(crate) fn answer(&self, session: &str, id: &Value) -> Value {
        for _ in 0..1_000 {
            let received = self.state.received.lock().unwrap();
            let found = received.iter().rev().find(|one| {
                one.message["id"] == *id
                    && one.message.get("method").is_none()
                    && one.head.header("mcp-session-id") == Some(session)
            });
            if let Some(found) = found {
                return found.message.clone();
            }
            drop(received);
            std::thread::sleep(Duration::from_millis(5));
        }
        Value::Null
    }

    /// A whole answer of any status.
    pub(crate) fn status(&mut self, status: &str, extra: &str, body: &str) {
        self.keep &= plain(self.conn, status, extra, body);
    }

    /// The result, as a document or as the end of a stream that was begun.
    pub(crate) fn result(&mut self, result: Value) {
        let answer = json!({ "jsonrpc": "2.0", "id": self.message["id"], "result": result });
        if self.open {
            self.event(&answer);
            self.keep &= self.conn.write(b"0\r\n\r\n").is_ok();
        } else {
            self.status("200 OK", "Content-Type: application/json\r\n", &answer.to_string());
        }
    }

    /// The result of a call, with one text.
    pub(crate) fn text(&mut self, text: &str) {
        let content = json!([{ "type": "text", "text": text }]);
        let result = match self.state.era {
            Era::Legacy => json!({ "content": content }),
            Era::Modern => json!({ "resultType": "complete", "content": content }),
        };
        self.result(result);
    }

    /// One event of a streamed answer, which is begun with the first.
    pub(crate) fn event(&mut self, message: &Value) {
        self.chunk(&format!("event: message\ndata: {message}\n\n"));
    }

    /// Any piece of a streamed answer.
    pub(crate) fn chunk(&mut self, text: &str) {
        if !self.open {
            self.open = true;
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            self.keep &= self.conn.write(head.as_bytes()).is_ok();
        }
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        self.keep &= self.conn.write(chunk.as_bytes()).is_ok();
    }

    /// Whether the last write still found the peer.
    pub(crate) fn alive(&self) -> bool {
        self.keep
    }

    /// Breaks the connection off where it is.
    pub(crate) fn cut(&mut self) {
        self.conn.close();
        self.keep = false;
    }

    /// Waits until the peer closes the connection; false when it does not.
    pub(crate) fn hung_up(&mut self) -> bool {
        self.keep = false;
        self.conn.patience(Some(PATIENCE));
        match std::io::BufRead::fill_buf(self.conn.raw()) {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => !matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ),
        }
    }
}

fn serve(state: &Arc<State>, stream: TcpStream) {
    let mut conn = Conn::over(stream);
    conn.patience(None);
    while let Ok(head) = conn.read_head() {
        let Ok(raw) = conn.read_body() else { return };
        let message = serde_json::from_slice(&raw).unwrap_or(Value::Null);
        state.received.lock().unwrap().push(Received {
            head: head.clone(),
            raw,
            message: message.clone(),
        });
        let mut exchange = Exchange {
            head: &head,
            message: &message,
            state,
            conn: &mut conn,
            open: false,
            keep: true,
        };
        match state.era {
            Era::Legacy => legacy(&mut exchange),
            Era::Modern => modern(&mut exchange),
        }
        if !exchange.keep {
            conn.close();
            return;
        }
    }
}

fn legacy(exchange: &mut Exchange<'_>) {
    let state = exchange.state;
    let session = exchange.head.header("mcp-session-id").unwrap_or_default().to_owned();
    if exchange.method() == "initialize" {
        if !(state.behaviour)(exchange) {
            greet(exchange);
        }
        return;
    }
    if session.is_empty() {
        return exchange.status("400 Bad Request", "", "Bad Request: a session id is needed");
    }
    if !state.sessions.lock().unwrap().contains_key(&session) {
        let (status, body) = *state.forgetful.lock().unwrap();
        return exchange.status(status, "Content-Type: text/plain\r\n", body);
    }
    if exchange.head.first_line.starts_with("GET ") {
        return hold(exchange, &session);
    }
    if exchange.head.first_line.starts_with("DELETE ") {
        state.sessions.lock().unwrap().remove(&session);
        return exchange.status("200 OK", "", "");
    }
    if exchange.message.get("id").is_none() || exchange.message.get("method").is_none() {
        return exchange.status("202 Accepted", "", "");
    }
    if !(state.behaviour)(exchange) {
        usual(exchange);
    }
}

/// Answers `initialize` and opens a session.
pub(crate) fn greet(exchange: &mut Exchange<'_>) {
    let session = format!("stub-{}", exchange.state.opened.fetch_add(1, Ordering::SeqCst));
    exchange.state.sessions.lock().unwrap().insert(session.clone(), None);
    let asked = exchange.message["params"]["protocolVersion"].as_str().unwrap_or_default();
    let version = if asked == MODERN { "2025-11-25" } else { asked };
    let answer = json!({ "jsonrpc": "2.0", "id": exchange.message["id"], "result": {
        "protocolVersion": version,
        "capabilities": { "tools": { "listChanged": true }, "resources": { "subscribe": true }, "prompts": {}, "logging": {} },
        "serverInfo": { "name": "stub", "version": "1" } } });
    let extra = format!("Content-Type: application/json\r\nMcp-Session-Id: {session}\r\n");
    exchange.status("200 OK", &extra, &answer.to_string());
}

fn modern(exchange: &mut Exchange<'_>) {
    if !exchange.head.first_line.starts_with("POST ") {
        return exchange.status("405 Method Not Allowed", "Allow: POST\r\n", "");
    }
    if exchange.message.get("id").is_none() || exchange.message.get("method").is_none() {
        return exchange.status("202 Accepted", "", "");
    }
    let version = &exchange.message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"];
    if version != MODERN {
        let error =
            json!({ "code": -32022, "message": "unsupported", "data": { "supported": [MODERN] } });
        let answer = json!({ "jsonrpc": "2.0", "id": exchange.message["id"], "error": error });
        return exchange.status(
            "400 Bad Request",
            "Content-Type: application/json\r\n",
            &answer.to_string(),
        );
    }
    if (exchange.state.behaviour)(exchange) {
        return;
    }
    if exchange.method() == "server/discover" {
        return exchange.result(json!({
            "resultType": "complete", "supportedVersions": [MODERN], "ttlMs": 0, "cacheScope": "private",
            "capabilities": { "tools": { "listChanged": true }, "resources": { "subscribe": true }, "prompts": {} },
            "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "stub", "version": "1" } } }));
    }
    usual(exchange);
}

/// What a server does that no test has told anything.
pub(crate) fn usual(exchange: &mut Exchange<'_>) {
    let legacy = exchange.state.era == Era::Legacy;
    let mut result = match exchange.method() {
        "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" if legacy => {
            json!({})
        }
        "tools/list" => tools(&["echo"]),
        "resources/list" => json!({ "resources": [] }),
        "prompts/list" => json!({ "prompts": [] }),
        "tools/call" => {
            let said = exchange.message["params"]["arguments"]["message"].as_str();
            let said = said.unwrap_or("nothing to echo").to_owned();
            return exchange.text(&said);
        }
        _ => {
            let error = json!({ "code": -32601, "message": "the stub does not know that" });
            let answer = json!({ "jsonrpc": "2.0", "id": exchange.message["id"], "error": error });
            let status = if exchange.state.era == Era::Modern { "404 Not Found" } else { "200 OK" };
            return exchange.status(
                status,
                "Content-Type: application/json\r\n",
                &answer.to_string(),
            );
        }
    };
    if exchange.state.era == Era::Modern {
        result["resultType"] = json!("complete");
        result["ttlMs"] = json!(0);
        result["cacheScope"] = json!("private");
    }
    exchange.result(result);
}

/// The result of `tools/list` with these names.
pub(crate) fn tools(names: &[&str]) -> Value {
    let list = names.iter().map(|name| {
        json!({ "name": name, "description": format!("does {name}"), "inputSchema": { "type": "object" } })
    });
    json!({ "tools": list.collect::<Vec<_>>() })
}

/// Keeps a stream open for what is pushed, until either side ends it.
fn hold(exchange: &mut Exchange<'_>, session: &str) {
    let (sender, messages): (Sender<String>, Receiver<String>) = channel();
    exchange.chunk(": hello\n\n");
    if let Some(stream) = exchange.state.sessions.lock().unwrap().get_mut(session) {
        *stream = Some(sender);
    }
    exchange.state.listened.fetch_add(1, Ordering::SeqCst);
    while exchange.keep {
        match messages.recv_timeout(Duration::from_millis(200)) {
            Ok(data) => exchange.chunk(&format!("event: message\ndata: {data}\n\n")),
            Err(RecvTimeoutError::Timeout) => exchange.chunk(": still here\n\n"),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    exchange.cut();
}
