//! An MCP client of 2026-07-28: no session, everything in every request.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::{Conn, Events, Head};
use super::stub::MODERN;

/// A client with one keep-alive connection.
#[derive(Debug)]
pub(crate) struct Modern {
    pub(crate) addr: SocketAddr,
    conn: Conn,
    next_id: i64,
    pub(crate) capabilities: Value,
    pub(crate) seen: Vec<Value>,
}

impl Modern {
    #[track_caller]
    pub(crate) fn new(addr: SocketAddr) -> Self {
        let capabilities = json!({ "sampling": {}, "elicitation": { "form": {} }, "roots": {} });
        Self { addr, conn: Conn::open(addr), next_id: 1, capabilities, seen: Vec::new() }
    }

    /// A whole request with its envelope.
    pub(crate) fn message(&self, id: &Value, method: &str, mut params: Value) -> Value {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
        params["_meta"]["io.modelcontextprotocol/clientInfo"] =
            json!({ "name": "new", "version": "1" });
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    }

    /// Writes a request with the headers that mirror it.
    #[track_caller]
    pub(crate) fn send(&mut self, message: &Value) {
        let params = &message["params"];
        let name = params["name"].as_str().or(params["uri"].as_str()).unwrap_or_default();
        let mut headers = vec![
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", MODERN),
            ("Mcp-Method", message["method"].as_str().unwrap()),
        ];
        if !name.is_empty() {
            headers.push(("Mcp-Name", name));
        }
        self.conn
            .send("POST", "/mcp", &headers, message.to_string().as_bytes())
            .expect("cannot write");
    }

    /// The head of the answer and the answer itself; what was streamed before is kept in `seen`.
    #[track_caller]
    pub(crate) fn exchange(&mut self, method: &str, params: Value) -> (Head, Value) {
        let id = json!(self.next_id);
        self.next_id += 1;
        let message = self.message(&id, method, params);
        self.send(&message);
        let head =
            self.conn.read_head().unwrap_or_else(|error| panic!("no answer to {method}: {error}"));
        if !head.is_event_stream() {
            let body = self.conn.read_body().expect("the answer broke off");
            let text = String::from_utf8_lossy(&body);
            let answer: Value = serde_json::from_slice(&body)
                .unwrap_or_else(|error| panic!("{}: {error}: {text:?}", head.first_line));
            assert_eq!(answer["id"], id, "{answer}");
            return (head, answer);
        }
        let fresh = Conn::open(self.addr);
        let mut events = Events::of(std::mem::replace(&mut self.conn, fresh));
        loop {
            let message = events.next_message();
            if message.get("method").is_none() {
                assert_eq!(message["id"], id, "{message}");
                return (head, message);
            }
            self.seen.push(message);
        }
    }

    #[track_caller]
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        self.exchange(method, params).1
    }

    #[track_caller]
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Sends a request whose answer is a stream, and hands out the stream.
    #[track_caller]
    pub(crate) fn open_stream(&mut self, message: &Value) -> Events {
        self.send(message);
        let fresh = Conn::open(self.addr);
        Events::answering(std::mem::replace(&mut self.conn, fresh))
    }

    /// Closes the connection, whatever is on its way.
    pub(crate) fn hang_up(&mut self) {
        self.conn.close();
        self.conn = Conn::open(self.addr);
    }
}
