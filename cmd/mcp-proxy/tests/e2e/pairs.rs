//! Every transport of a client with every transport of a server, 25 pairs: list,
//! call, hear of its progress, be denied, and find one row for each in the log.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::harness::rows::only;
use crate::harness::stub::Exchange;
use crate::harness::wait::PATIENCE;
use crate::harness::{
    Client, Config, Gateway, Kind, LegacyClient, Modern, Row, Stub, Upstream, WsClient, binary,
    free_port, initialize_params, rows, until,
};

/// The server over standard input and output, and over WebSocket.
const PEER: &str = include_str!("pairs/peer.py");

const POLICY: &str = r#"package mcp.policy

default allow := true

deny contains "nobody deletes" if input.tool == "delete_file"
"#;

/// A transport, with the revision that is spoken over it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wire {
    Stdio,
    Sse,
    LegacyHttp,
    ModernHttp,
    WebSocket,
}

const WIRES: [Wire; 5] =
    [Wire::Stdio, Wire::Sse, Wire::LegacyHttp, Wire::ModernHttp, Wire::WebSocket];

impl Wire {
    /// Its name in the audit log.
    fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Sse => "sse",
            Self::LegacyHttp | Self::ModernHttp => "http",
            Self::WebSocket => "websocket",
        }
    }
}

/// A running server; dropping it ends it.
enum Server {
    /// The gateway starts it.
    Child,
    Sse(Upstream),
    Http(Stub),
    WebSocket {
        process: Child,
        port: u16,
    },
}

impl Server {
    #[track_caller]
    fn start(wire: Wire) -> Self {
        match wire {
            Wire::Stdio => Self::Child,
            Wire::Sse => {
                let upstream = Upstream::start(Kind { legacy: Some("/sse"), ..Kind::default() });
                // Its `steps` wait for leave.
                upstream.release();
                upstream.release();
                Self::Sse(upstream)
            }
            Wire::LegacyHttp => Self::Http(Stub::legacy(steps)),
            Wire::ModernHttp => Self::Http(Stub::modern(steps)),
            Wire::WebSocket => {
                let port = free_port();
                let mut command = Command::new("python3");
                command.args(["-c", PEER, &port.to_string()]).stdin(Stdio::null());
                let process = command.spawn().expect("python3 is needed");
                until("the WebSocket server listens", || {
                    TcpStream::connect(("127.0.0.1", port)).is_ok()
                });
                Self::WebSocket { process, port }
            }
        }
    }

    /// The section `upstream` of a gateway in front of it.
    fn section(&self) -> Value {
        match self {
            Self::Child => json!({ "command": ["python3", "-u", "-c", PEER, "stdio"] }),
            Self::Sse(upstream) => {
                json!({ "url": format!("http://{}/sse", upstream.addr), "transport": "sse" })
            }
            Self::Http(stub) => {
                json!({ "url": format!("http://{}/mcp", stub.addr), "transport": "http" })
            }
            Self::WebSocket { port, .. } => json!({ "url": format!("ws://127.0.0.1:{port}/ws") }),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Self::WebSocket { process, .. } = self {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

/// The tool `steps` of the scripted servers: progress twice, then the answer.
fn steps(exchange: &mut Exchange<'_>) -> bool {
    match (exchange.method(), exchange.tool()) {
        ("tools/call", "steps") => {
            let token = exchange.message["params"]["_meta"]["progressToken"].clone();
            for step in 1..=2 {
                let params = json!({ "progressToken": token, "progress": step, "total": 2 });
                exchange.event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }));
            }
            exchange.text("ran steps");
            true
        }
        _ => false,
    }
}

/// A client that started the gateway as its server.
struct Parent {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    config: Config,
    seen: Vec<Value>,
    next_id: u64,
}

impl Parent {
    #[track_caller]
    fn start(config: Config) -> Self {
        let config = config.set("server.transport", "stdio");
        let file = config.write();
        let mut command = Command::new(binary());
        command.arg("run").arg("--config").arg(file).current_dir(config.root());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary does not start");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            stdout.lines().try_for_each(|line| {
                let message = serde_json::from_str(&line.unwrap());
                sender.send(message.expect("standard output has what is no message"))
            })
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines, config, seen: Vec::new(), next_id: 1 }
    }

    #[track_caller]
    fn send(&mut self, message: &Value) {
        writeln!(self.stdin.as_mut().unwrap(), "{message}").unwrap();
    }

    #[track_caller]
    fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.lines.recv_timeout(PATIENCE).expect("no answer");
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
            self.seen.push(message);
        }
    }

    #[track_caller]
    fn finish(mut self) -> Vec<Row> {
        self.stdin = None;
        assert!(self.child.wait().unwrap().success());
        rows(&self.config.db())
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        // Fails when it has ended, which is what is wanted.
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
    }
}

/// A client that has said hello where there is one to say.
enum Agent {
    Stdio(Parent),
    Sse(LegacyClient, Gateway),
    LegacyHttp(Client, Gateway),
    ModernHttp(Modern, Gateway),
    WebSocket(WsClient, Gateway),
}

impl Agent {
    #[track_caller]
    fn start(wire: Wire, config: Config) -> Self {
        match wire {
            Wire::Stdio => {
                let mut parent = Parent::start(config);
                let hello = parent.request("initialize", initialize_params());
                assert!(hello["result"].is_object(), "{hello}");
                parent.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
                Self::Stdio(parent)
            }
            Wire::Sse => {
                let gateway = Gateway::start(config);
                Self::Sse(gateway.legacy_client(), gateway)
            }
            Wire::LegacyHttp => {
                let gateway = Gateway::start(config);
                Self::LegacyHttp(gateway.client(), gateway)
            }
            Wire::ModernHttp => {
                let gateway = Gateway::start(config);
                Self::ModernHttp(Modern::new(gateway.addr()), gateway)
            }
            Wire::WebSocket => {
                let gateway = Gateway::start(config);
                let mut client = WsClient::open(gateway.addr());
                client.handshake();
                Self::WebSocket(client, gateway)
            }
        }
    }

    #[track_caller]
    fn request(&mut self, method: &str, params: Value) -> Value {
        match self {
            Self::Stdio(client) => client.request(method, params),
            Self::Sse(client, _) => client.request(method, params),
            Self::LegacyHttp(client, _) => client.request(method, params),
            Self::ModernHttp(client, _) => client.request(method, params),
            Self::WebSocket(client, _) => client.request(method, params),
        }
    }

    /// What came beside the answers.
    fn seen(&self) -> &[Value] {
        match self {
            Self::Stdio(client) => &client.seen,
            Self::Sse(client, _) => &client.seen,
            Self::LegacyHttp(client, _) => &client.seen,
            Self::ModernHttp(client, _) => &client.seen,
            Self::WebSocket(client, _) => &client.seen,
        }
    }

    #[track_caller]
    fn finish(self) -> Vec<Row> {
        match self {
            Self::Stdio(client) => client.finish(),
            Self::WebSocket(client, gateway) => {
                // Otherwise the gateway waits for it to say goodbye.
                drop(client);
                gateway.finish()
            }
            Self::Sse(_, gateway) | Self::LegacyHttp(_, gateway) | Self::ModernHttp(_, gateway) => {
                gateway.finish()
            }
        }
    }
}

/// One row of the table: a client of this transport with every server.
#[track_caller]
fn check(downstream: Wire) {
    for upstream in WIRES {
        let pair = format!("{downstream:?} to {upstream:?}");
        let server = Server::start(upstream);
        let mut agent = Agent::start(downstream, Config::of(server.section()).policy(POLICY));

        let listed = agent.request("tools/list", json!({}));
        let tools = listed["result"]["tools"].as_array();
        assert!(tools.is_some_and(|tools| !tools.is_empty()), "{pair}: {listed}");
        assert!(!listed.to_string().contains("delete_file"), "{pair}: {listed}");

        let params = json!({ "name": "steps", "arguments": {}, "_meta": { "progressToken": "t" } });
        let stepped = agent.request("tools/call", params);
        assert!(stepped["result"]["content"][0]["text"].is_string(), "{pair}: {stepped}");
        let steps: Vec<&Value> = agent.seen().iter().map(|message| &message["params"]).collect();
        assert_eq!(
            steps.iter().map(|step| &step["progress"]).collect::<Vec<_>>(),
            [1, 2],
            "{pair}: {steps:?}"
        );
        assert!(steps.iter().all(|step| step["progressToken"] == "t"), "{pair}: {steps:?}");

        let refused =
            agent.request("tools/call", json!({ "name": "delete_file", "arguments": {} }));
        assert_eq!(refused["error"]["code"], -31001, "{pair}: {refused}");

        let rows = agent.finish();
        let allowed = only(&rows, "tools/call", "steps");
        let denied = only(&rows, "tools/call", "delete_file");
        let list = only(&rows, "tools/list", "");
        for (row, decision, forwarded) in
            [(list, "allow", 1), (allowed, "allow", 1), (denied, "deny", 0)]
        {
            assert_eq!(row.text("decision"), decision, "{pair}: {row:?}");
            assert_eq!(row.number("forwarded"), Some(forwarded), "{pair}: {row:?}");
            assert_eq!(row.text("transport"), downstream.name(), "{pair}: {row:?}");
        }
        let progress = rows.iter().filter(|row| row.text("method") == "notifications/progress");
        assert_eq!(progress.count(), 2, "{pair}: {rows:#?}");
    }
}

#[test]
fn a_client_over_stdio_works_with_every_server() {
    check(Wire::Stdio);
}

#[test]
fn a_client_over_http_and_sse_works_with_every_server() {
    check(Wire::Sse);
}

#[test]
fn a_client_over_legacy_http_works_with_every_server() {
    check(Wire::LegacyHttp);
}

#[test]
fn a_client_over_modern_http_works_with_every_server() {
    check(Wire::ModernHttp);
}

#[test]
fn a_client_over_websocket_works_with_every_server() {
    check(Wire::WebSocket);
}
