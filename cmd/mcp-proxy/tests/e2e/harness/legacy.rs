//! An MCP client for the HTTP+SSE transport of 2024-11-05.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::{Conn, Events, Response};

/// A stream on which all answers come, and the place to which messages are posted.
#[derive(Debug)]
pub(crate) struct LegacyClient {
    addr: SocketAddr,
    pub(crate) events: Events,
    pub(crate) endpoint: String,
    next_id: i64,
    pub(crate) seen: Vec<Value>,
}

impl LegacyClient {
    #[track_caller]
    pub(crate) fn open(addr: SocketAddr, path: &str) -> Self {
        let mut conn = Conn::open(addr);
        conn.send("GET", path, &[("Accept", "text/event-stream")], b"").unwrap();
        let head = conn.read_head().expect("no answer to GET");
        assert_eq!(head.status(), 200, "{head:?}");
        assert!(head.is_event_stream(), "{head:?}");
        let mut events = Events::of(conn);
        let first = events.next().unwrap().expect("the stream ended");
        assert_eq!(first.name, "endpoint");
        Self { addr, events, endpoint: first.data, next_id: 1, seen: Vec::new() }
    }

    #[track_caller]
    pub(crate) fn handshake(&mut self) -> Value {
        let params = json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": { "name": "old", "version": "1" } });
        let answer = self.request("initialize", params);
        assert!(answer["result"].is_object(), "{answer}");
        let accepted =
            self.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        assert_eq!(accepted.status(), 202);
        answer
    }

    #[track_caller]
    pub(crate) fn post(&self, message: &Value) -> Response {
        let headers = [("Content-Type", "application/json")];
        Conn::open(self.addr).request(
            "POST",
            &self.endpoint,
            &headers,
            message.to_string().as_bytes(),
        )
    }

    /// Posts a request and waits on the stream for the answer with its id.
    #[track_caller]
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        let accepted =
            self.post(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        assert_eq!(accepted.status(), 202, "{}", accepted.text());
        loop {
            let message = self.events.next_message();
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
            self.seen.push(message);
        }
    }

    #[track_caller]
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments }))
    }
}
