//! An MCP client for Streamable HTTP, as plain as one can be: it sends what it
//! is told and hands back what came.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::{Conn, Events, Response};

pub(crate) const REVISION: &str = "2025-06-18";

/// The parameters of an ordinary `initialize`.
pub(crate) fn initialize_params() -> Value {
    json!({
        "protocolVersion": REVISION,
        "capabilities": { "sampling": {} },
        "clientInfo": { "name": "e2e", "version": "1.0" },
    })
}

/// One client with one keep-alive connection, and a session once it has shaken hands.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) addr: SocketAddr,
    conn: Conn,
    pub(crate) session: Option<String>,
    next_id: i64,
    pub(crate) seen: Vec<Value>,
    pub(crate) path: String,
    pub(crate) revision: String,
    pub(crate) capabilities: Value,
}

impl Client {
    #[track_caller]
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            conn: Conn::open(addr),
            session: None,
            next_id: 1,
            seen: Vec::new(),
            path: "/mcp".to_owned(),
            revision: REVISION.to_owned(),
            capabilities: json!({ "sampling": {} }),
        }
    }

    /// Another client of the same session, on a connection of its own.
    #[track_caller]
    pub(crate) fn beside(&self) -> Self {
        let mut other = Self::new(self.addr);
        other.session.clone_from(&self.session);
        other.revision.clone_from(&self.revision);
        other.next_id = self.next_id + 100_000;
        other
    }

    /// `initialize` and `notifications/initialized`; the result of the first.
    #[track_caller]
    pub(crate) fn handshake(&mut self) -> Value {
        let mut params = initialize_params();
        params["protocolVersion"] = json!(self.revision);
        params["capabilities"] = self.capabilities.clone();
        let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        self.send(&body);
        let head = self.conn.read_head().expect("no answer to initialize");
        self.session = head.header("mcp-session-id").map(str::to_owned);
        let answer = self.read_answer(&head, &json!(0));
        assert_eq!(head.status(), 200, "{answer}");
        assert!(answer["result"].is_object(), "{answer}");
        let accepted = self.notify("notifications/initialized", json!({}));
        assert_eq!(accepted.status(), 202, "{}", accepted.text());
        answer
    }

    fn headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Accept".to_owned(), "application/json, text/event-stream".to_owned()),
        ];
        if let Some(session) = &self.session {
            headers.push(("Mcp-Session-Id".to_owned(), session.clone()));
            headers.push(("MCP-Protocol-Version".to_owned(), self.revision.clone()));
        }
        headers
    }

    /// Writes one message and leaves the answer to be read.
    #[track_caller]
    pub(crate) fn send(&mut self, message: &Value) {
        self.send_raw(message.to_string().as_bytes());
    }

    #[track_caller]
    pub(crate) fn send_raw(&mut self, body: &[u8]) {
        let owned = self.headers();
        let headers: Vec<(&str, &str)> =
            owned.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.conn.send("POST", &self.path, &headers, body).expect("cannot write");
    }

    /// Sends any bytes as a message and reads the whole answer.
    #[track_caller]
    pub(crate) fn post_raw(&mut self, body: &[u8]) -> Response {
        self.send_raw(body);
        let answer = self.conn.read_response().unwrap_or_else(|error| {
            panic!(
                "no whole answer to {}: {error}",
                String::from_utf8_lossy(&body[..body.len().min(200)])
            )
        });
        if answer.head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
        {
            self.conn = Conn::open(self.addr);
        }
        answer
    }

    #[track_caller]
    pub(crate) fn post(&mut self, message: &Value) -> Response {
        self.post_raw(message.to_string().as_bytes())
    }

    #[track_caller]
    pub(crate) fn notify(&mut self, method: &str, params: Value) -> Response {
        self.post(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
    }

    /// Sends a request and returns the answer that carries its id, from JSON or from
    /// a stream; messages that came before it are kept in `seen`.
    #[track_caller]
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        self.request_as(&json!(id), method, params)
    }

    #[track_caller]
    pub(crate) fn request_as(&mut self, id: &Value, method: &str, params: Value) -> Value {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        let head =
            self.conn.read_head().unwrap_or_else(|error| panic!("no answer to {method}: {error}"));
        self.read_answer(&head, id)
    }

    /// Reads the answer of a request that was sent.
    #[track_caller]
    pub(crate) fn answer_to(&mut self, id: &Value) -> Value {
        let head = self.conn.read_head().expect("no answer");
        self.read_answer(&head, id)
    }

    #[track_caller]
    fn read_answer(&mut self, head: &super::http::Head, id: &Value) -> Value {
        let body = if head.is_event_stream() {
            return self.read_stream(id);
        } else {
            self.conn.read_body().expect("the answer broke off")
        };
        let answer: Value = serde_json::from_slice(&body).unwrap_or_else(|error| {
            panic!("{} is not JSON: {error}: {:?}", head.first_line, String::from_utf8_lossy(&body))
        });
        assert_eq!(&answer["id"], id, "{answer}");
        answer
    }

    #[track_caller]
    fn read_stream(&mut self, id: &Value) -> Value {
        let fresh = Conn::open(self.addr);
        let mut events = Events::of(std::mem::replace(&mut self.conn, fresh));
        loop {
            let message = events.next_message();
            if message.get("method").is_none() {
                assert_eq!(&message["id"], id, "{message}");
                return message;
            }
            self.seen.push(message);
        }
    }

    /// Sends a request whose answer is a stream, and hands out the stream.
    #[track_caller]
    pub(crate) fn open_stream(&mut self, message: &Value) -> Events {
        self.send(message);
        let fresh = Conn::open(self.addr);
        Events::answering(std::mem::replace(&mut self.conn, fresh))
    }

    /// Opens the GET stream of the session.
    #[track_caller]
    pub(crate) fn listen(&self) -> Events {
        self.listen_after(None).unwrap_or_else(|answer| panic!("{answer:?}"))
    }

    /// Opens the GET stream of the session, or resumes a stream after an event; the
    /// answer when it is no stream.
    #[track_caller]
    pub(crate) fn listen_after(&self, event: Option<&str>) -> Result<Events, Response> {
        let mut conn = Conn::open(self.addr);
        let session = self.session.clone().unwrap_or_default();
        let mut headers = vec![
            ("Accept", "text/event-stream"),
            ("Mcp-Session-Id", session.as_str()),
            ("MCP-Protocol-Version", self.revision.as_str()),
        ];
        headers.extend(event.map(|id| ("Last-Event-ID", id)));
        conn.send("GET", &self.path, &headers, b"").unwrap();
        let head = conn.read_head().expect("no answer to GET");
        if head.status() == 200 && head.is_event_stream() {
            return Ok(Events::of(conn));
        }
        let body = conn.read_body().expect("the answer broke off");
        Err(Response { head, body })
    }

    #[track_caller]
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// The first text of a successful call.
    #[track_caller]
    pub(crate) fn call_text(&mut self, tool: &str, arguments: Value) -> String {
        let answer = self.call(tool, arguments);
        let text = answer["result"]["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("no text from {tool}: {answer}")).to_owned()
    }

    /// Closes the connection, whatever is on its way.
    pub(crate) fn hang_up(&self) {
        self.conn.close();
    }

    #[track_caller]
    pub(crate) fn delete(&mut self) -> Response {
        let session = self.session.clone().unwrap_or_default();
        self.conn.request("DELETE", &self.path, &[("Mcp-Session-Id", &session)], b"")
    }
}
