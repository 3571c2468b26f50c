//! An MCP client for WebSocket (RFC 6455 by hand), which can also break the rules of it.

use std::io::{Read as _, Result};
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::client::initialize_params;
use super::http::{Conn, Head};

/// Kinds of frames (RFC 6455, 5.2).
pub(crate) mod opcode {
    pub(crate) const CONTINUATION: u8 = 0;
    pub(crate) const TEXT: u8 = 1;
    pub(crate) const BINARY: u8 = 2;
    pub(crate) const CLOSE: u8 = 8;
    pub(crate) const PING: u8 = 9;
    pub(crate) const PONG: u8 = 10;
}

/// One frame as it came.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) last: bool,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The code of a close frame.
    pub(crate) fn code(&self) -> Option<u16> {
        let code = self.payload.first_chunk::<2>()?;
        (self.opcode == opcode::CLOSE).then(|| u16::from_be_bytes(*code))
    }
}

/// One open WebSocket.
#[derive(Debug)]
pub(crate) struct WsClient {
    conn: Conn,
    next_id: i64,
    pub(crate) seen: Vec<Value>,
}

impl WsClient {
    /// Asks for a WebSocket; the connection, and the answer to the request.
    #[track_caller]
    pub(crate) fn ask(addr: SocketAddr, path: &str, extra: &[(&str, &str)]) -> (Conn, Head) {
        let mut conn = Conn::open(addr);
        let mut headers = vec![
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg=="),
        ];
        headers.extend_from_slice(extra);
        conn.send("GET", path, &headers, b"").unwrap();
        let head = conn.read_head().expect("no answer to the upgrade");
        (conn, head)
    }

    #[track_caller]
    pub(crate) fn open(addr: SocketAddr) -> Self {
        let (conn, head) = Self::ask(addr, "/ws", &[("Sec-WebSocket-Protocol", "mcp")]);
        assert_eq!(head.status(), 101, "{head:?}");
        assert_eq!(head.header("sec-websocket-protocol"), Some("mcp"), "{head:?}");
        Self { conn, next_id: 1, seen: Vec::new() }
    }

    pub(crate) fn conn(&self) -> &Conn {
        &self.conn
    }

    /// Writes one masked frame.
    pub(crate) fn frame(&mut self, opcode: u8, last: bool, payload: &[u8]) -> Result<()> {
        let mask = [7, 77, 177, 227];
        let mut bytes = vec![opcode | if last { 0x80 } else { 0 }];
        match payload.len() {
            short @ ..=125 => bytes.push(0x80 | u8::try_from(short).unwrap()),
            middle @ ..=0xffff => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&u16::try_from(middle).unwrap().to_be_bytes());
            }
            long => {
                bytes.push(0x80 | 127);
                bytes.extend_from_slice(&u64::try_from(long).unwrap().to_be_bytes());
            }
        }
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        self.conn.write(&bytes)
    }

    /// Writes bytes that need not be a frame.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.conn.write(bytes)
    }

    #[track_caller]
    pub(crate) fn send(&mut self, message: &Value) {
        self.frame(opcode::TEXT, true, message.to_string().as_bytes()).expect("cannot write");
    }

    /// The next frame; an error when the peer closed without one.
    pub(crate) fn next_frame(&mut self) -> Result<Frame> {
        let io = self.conn.raw();
        let mut head = [0; 2];
        io.read_exact(&mut head)?;
        let length = match head[1] & 0x7f {
            126 => {
                let mut length = [0; 2];
                io.read_exact(&mut length)?;
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                io.read_exact(&mut length)?;
                u64::from_be_bytes(length)
            }
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        io.read_exact(&mut payload)?;
        Ok(Frame { opcode: head[0] & 0x0f, last: head[0] & 0x80 != 0, payload })
    }

    /// The next message; pings are answered on the way.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> Value {
        let mut text = Vec::new();
        loop {
            let frame = self.next_frame().expect("the WebSocket broke off");
            match frame.opcode {
                opcode::PING => self.frame(opcode::PONG, true, &frame.payload).unwrap(),
                opcode::TEXT | opcode::CONTINUATION => {
                    text.extend_from_slice(&frame.payload);
                    if frame.last {
                        return serde_json::from_slice(&text).expect("no JSON");
                    }
                }
                opcode::PONG => {}
                _ => panic!("{:?} {:?}", frame.code(), String::from_utf8_lossy(&frame.payload)),
            }
        }
    }

    /// The code of the close frame that comes next, messages before it left out.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> Option<u16> {
        loop {
            match self.next_frame() {
                Ok(frame) if frame.opcode == opcode::CLOSE => return frame.code(),
                Ok(_) => {}
                Err(error) => panic!("no close frame: {error}"),
            }
        }
    }

    #[track_caller]
    pub(crate) fn handshake(&mut self) -> Value {
        let answer = self.request("initialize", initialize_params());
        assert!(answer["result"].is_object(), "{answer}");
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        answer
    }

    /// Sends a request and waits for its answer; what came before it is kept in `seen`.
    #[track_caller]
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.hear();
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
