//! `mcp-proxy wrap`: the gateway as a client's own child process, which must behave as the server would.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::harness::rows::only;
use crate::harness::wait::{PATIENCE, now};
use crate::harness::{
    Config, Upstream, binary, initialize_params, rows, run_in, until, until_some,
};
use crate::stdio_child::{SERVER, alive};

/// A client of the process that it started, as the configuration of a desktop client has it.
struct Wrapped {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: NamedTempFile,
}

impl Wrapped {
    #[track_caller]
    fn start(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        let stderr = NamedTempFile::new_in(dir).unwrap();
        let mut command = Command::new(binary());
        command.args(args).current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(stderr.reopen().unwrap()).envs(env.iter().copied());
        let mut child = command.spawn().expect("the binary does not start");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().try_for_each(|line| sender.send(line.unwrap())));
        Self { stdin: child.stdin.take(), child, lines, stderr }
    }

    #[track_caller]
    fn say(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[track_caller]
    fn send(&mut self, message: &Value) {
        self.say(&format!("{message}\n"));
    }

    #[track_caller]
    fn call(&mut self, id: u64, tool: &str, arguments: Value) {
        let params = json!({ "name": tool, "arguments": arguments });
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }));
    }

    /// The next line, which is a message whatever happens.
    #[track_caller]
    fn hear(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|error| panic!("{error}: {}", self.stderr()));
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("{error}: standard output has what is no message: {line}")
        });
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        message
    }

    /// The text of the call with that id, which is answered next.
    #[track_caller]
    fn text_of(&mut self, id: u64, tool: &str, arguments: Value) -> String {
        self.call(id, tool, arguments);
        let answer = self.hear();
        assert_eq!(answer["id"], id, "{answer}");
        let text = answer["result"]["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("no text: {answer}")).to_owned()
    }

    #[track_caller]
    fn handshake(&mut self) -> Value {
        self.send(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": initialize_params() }));
        let answer = self.hear();
        assert!(answer["result"]["serverInfo"].is_object(), "{answer}");
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        answer
    }

    fn stderr(&self) -> String {
        std::fs::read_to_string(self.stderr.path()).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// The exit code, -1 for a signal.
    #[track_caller]
    fn wait(&mut self) -> i32 {
        until_some("it ends", || self.child.try_wait().unwrap()).code().unwrap_or(-1)
    }

    /// Ends the input; the exit code, and the lines that came until then.
    #[track_caller]
    fn leave(&mut self) -> (i32, Vec<Value>) {
        self.stdin = None;
        let code = self.wait();
        let left = self.lines.iter().map(|line| serde_json::from_str(&line).unwrap());
        (code, left.collect())
    }
}

impl Drop for Wrapped {
    fn drop(&mut self) {
        // Fails when it has ended, which is what is wanted.
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
    }
}

/// The gateway around the server in Python, whose tools show its surroundings.
fn around_python(dir: &Path, env: &[(&str, &str)]) -> Wrapped {
    std::fs::write(dir.join("server.py"), SERVER).unwrap();
    let script = dir.join("server.py");
    let args = ["wrap", "--env", "WANTED", "--", "python3", "-u", script.to_str().unwrap()];
    Wrapped::start(dir, &args, env)
}

/// Whether the process does nothing any more: it is gone, or nobody has collected it.
fn ended(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn a_client_that_starts_its_server_finds_it_behind_the_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let program = binary();
    let args = ["wrap", "--", program.to_str().unwrap(), "demo-server"];
    let mut client = Wrapped::start(dir.path(), &args, &[("MCP_LOGGING_LEVEL", "trace")]);
    client.handshake();
    assert_eq!(client.text_of(1, "echo", json!({ "message": "hi" })), "hi");
    client.call(2, "delete_file", json!({ "path": "welcome.txt" }));
    let answer = client.hear();
    assert!(answer["result"].is_object(), "without a file the mode is audit: {answer}");
    assert_eq!(client.leave(), (0, Vec::new()), "{}", client.stderr());
    let stderr = client.stderr();
    assert!(stderr.contains("listening on standard input"), "{stderr}");
    assert!(stderr.contains("audit mode"), "{stderr}");
    let rows = rows(&dir.path().join("audit.db"));
    let calls: Vec<_> = rows.iter().filter(|row| row.text("method") == "tools/call").collect();
    assert_eq!(calls.len(), 2, "{rows:#?}");
    assert!(calls.iter().all(|row| row.text("transport") == "stdio"), "{calls:#?}");
    assert_eq!(calls[1].text("decision"), "deny");
}

#[test]
fn a_stateless_client_needs_no_handshake() {
    let dir = tempfile::tempdir().unwrap();
    let program = binary();
    let args = ["wrap", "--", program.to_str().unwrap(), "demo-server"];
    let mut client = Wrapped::start(dir.path(), &args, &[]);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "e2e", "version": "1.0" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let mut ask = |id: u64, method: &str, mut params: Value| {
        params["_meta"] = meta.clone();
        client.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        let answer = client.hear();
        assert_eq!(answer["id"], id, "{answer}");
        answer["result"].clone()
    };
    let found = ask(1, "server/discover", json!({}));
    assert_eq!(found["supportedVersions"], json!(["2026-07-28"]), "{found}");
    let said = ask(2, "tools/call", json!({ "name": "echo", "arguments": { "message": "hi" } }));
    assert_eq!(said["content"][0]["text"], "hi", "{said}");
    assert_eq!(said["resultType"], "complete", "{said}");
    assert_eq!(client.leave(), (0, Vec::new()));
}

#[test]
fn what_is_on_its_way_at_the_end_of_the_input_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let program = binary();
    let args = ["wrap", "--", program.to_str().unwrap(), "demo-server"];
    let mut client = Wrapped::start(dir.path(), &args, &[]);
    client.handshake();
    for id in 1..=20 {
        client.call(id, "slow", json!({ "milliseconds": 100 }));
    }
    let (code, heard) = client.leave();
    assert_eq!((code, heard.len()), (0, 20), "{heard:?}");
}

#[test]
fn a_remote_server_is_reached_over_standard_input() {
    let upstream = Upstream::plain();
    let dir = tempfile::tempdir().unwrap();
    let url = format!("http://{}/mcp", upstream.addr);
    let mut client = Wrapped::start(dir.path(), &["wrap", "--upstream", &url], &[]);
    client.handshake();
    client.call(1, "echo", json!({ "message": "far" }));
    let answer = client.hear();
    assert!(answer["result"].is_object(), "{answer}");
    assert_eq!(upstream.calls(), ["echo"]);
    assert_eq!(client.leave().0, 0);
}

#[test]
fn run_serves_standard_input_when_the_configuration_says_so() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr).set("server.transport", "stdio");
    let file = config.write();
    let args = ["run", "--config", file.to_str().unwrap()];
    let mut client = Wrapped::start(config.root(), &args, &[]);
    client.handshake();
    client.call(1, "delete_file", json!({ "path": "a" }));
    assert_eq!(client.hear()["error"]["code"], -31001, "the policy of the configuration holds");
    assert!(std::net::TcpStream::connect(("127.0.0.1", config.port)).is_err(), "no data port");
    assert!(
        std::net::TcpStream::connect(("127.0.0.1", config.health)).is_ok(),
        "the probes are on"
    );
    assert_eq!(client.leave().0, 0);
    assert_eq!(upstream.calls(), Vec::<String>::new());
}

#[test]
fn the_server_gets_the_variables_that_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = around_python(dir.path(), &[("WANTED", "yes"), ("SECRET", "no")]);
    client.handshake();
    assert_eq!(client.text_of(1, "env", json!({ "name": "WANTED" })), "yes");
    assert_eq!(client.text_of(2, "env", json!({ "name": "SECRET" })), "(not set)");
}

#[test]
fn nothing_but_messages_is_on_standard_output() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = around_python(dir.path(), &[("MCP_LOGGING_LEVEL", "trace")]);
    client.handshake();
    for (id, tool) in [(1, "garbage"), (2, "scream")] {
        assert_eq!(client.text_of(id, tool, json!({})), format!("ran {tool}"));
    }
    client.say("\n   \nno message\n");
    assert_eq!(client.hear()["error"]["code"], -32700);
    assert_eq!(client.leave(), (0, Vec::new()));
    assert!(client.stderr().contains("scream on stderr"), "{}", client.stderr());
}

#[test]
fn a_line_over_the_limit_costs_one_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = around_python(dir.path(), &[("MCP_SERVER_LIMITS_MAX_BODY_BYTES", "10000")]);
    client.handshake();
    client.say(&"x".repeat(5_000_000));
    client.say("\n");
    let refusal = client.hear();
    assert_eq!(refusal["error"]["data"]["kind"], "too_large", "{refusal}");
    assert_eq!(refusal["id"], Value::Null);
    assert_eq!(client.text_of(1, "hello", json!({})), "ran hello");
    assert_eq!(client.leave(), (0, Vec::new()));
    let rows = rows(&dir.path().join("audit.db"));
    let refused = rows.iter().filter(|row| row.text("error_kind") == "too_large").count();
    assert_eq!(refused, 1, "{rows:#?}");
}

#[test]
fn a_cancellation_overtakes_and_its_call_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let program = binary();
    let args = ["wrap", "--", program.to_str().unwrap(), "demo-server"];
    let mut client = Wrapped::start(dir.path(), &args, &[]);
    client.handshake();
    client.call(1, "slow", json!({ "milliseconds": 60_000 }));
    assert_eq!(client.text_of(2, "echo", json!({ "message": "meanwhile" })), "meanwhile");
    let params = json!({ "requestId": 1 });
    client
        .send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }));
    let start = now();
    let (code, _) = client.leave();
    assert_eq!(code, 0);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_client_that_ends_it_ends_the_server_too() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let dir = tempfile::tempdir().unwrap();
        let mut client = around_python(dir.path(), &[]);
        client.handshake();
        let pid = client.text_of(1, "pid", json!({}));
        client.call(2, "never", json!({}));
        client.signal(signal);
        let start = now();
        assert_eq!(client.wait(), 0, "{}", client.stderr());
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
        assert!(!alive(&pid), "the server outlived the gateway");
    }
}

#[test]
fn a_signal_cuts_what_is_in_flight_and_records_it() {
    let upstream = Upstream::plain();
    let dir = tempfile::tempdir().unwrap();
    let url = format!("http://{}/mcp", upstream.addr);
    let mut client = Wrapped::start(dir.path(), &["wrap", "--upstream", &url], &[]);
    client.handshake();
    upstream.wait_for("the session is open", |it| it["method"] == "notifications/initialized");
    upstream.mute(true);
    client.call(1, "echo", json!({}));
    upstream.wait_for("the call is there", |it| it["method"] == "tools/call");
    let start = now();
    client.signal(Signal::SIGTERM);
    assert_eq!(client.wait(), 0, "{}", client.stderr());
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    let rows = rows(&dir.path().join("audit.db"));
    assert_eq!(only(&rows, "tools/call", "echo").text("error_kind"), "abandoned");
}

/// A client that starts the gateway, leaves a call in flight, says who is there, and waits to be killed.
const CLIENT: &str = r#"
import json, subprocess, sys, time
gateway = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
def send(method, params, **id):
    gateway.stdin.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **id}) + "\n")
    gateway.stdin.flush()
send("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "e2e", "version": "1"}}, id=0)
gateway.stdout.readline()
send("notifications/initialized", {})
send("tools/call", {"name": "slow", "arguments": {"milliseconds": 60000}}, id=1)
send("tools/call", {"name": "echo", "arguments": {"message": "here"}}, id=2)
gateway.stdout.readline()
print(gateway.pid, flush=True)
time.sleep(600)
"#;

/// The processes that this one has started.
fn children(parent: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    let pids = processes.filter_map(|name| name.into_string().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        fields.split(' ').nth(1) == Some(parent)
    })
    .collect()
}

#[test]
fn a_client_that_is_killed_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let program = binary();
    let program = program.to_str().unwrap();
    let mut command = Command::new("python3");
    command.args(["-c", CLIENT, program, "wrap", "--", program, "demo-server"]);
    let stderr = std::fs::File::create(dir.path().join("stderr")).unwrap();
    command.current_dir(dir.path()).stdout(Stdio::piped()).stderr(stderr);
    let mut client = command.spawn().unwrap();
    let mut gateway = String::new();
    BufReader::new(client.stdout.take().unwrap()).read_line(&mut gateway).unwrap();
    let gateway = gateway.trim();
    let servers = children(gateway);
    assert_eq!(servers.len(), 1, "{gateway}");
    client.kill().unwrap();
    client.wait().unwrap();
    let start = now();
    until("everything has ended", || ended(gateway) && ended(&servers[0]));
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    let rows = rows(&dir.path().join("audit.db"));
    assert_eq!(only(&rows, "tools/call", "slow").text("error_kind"), "abandoned");
}

#[test]
fn a_gateway_that_is_killed_takes_its_server_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = around_python(dir.path(), &[]);
    client.handshake();
    let pid = client.text_of(1, "pid", json!({}));
    client.signal(Signal::SIGKILL);
    client.wait();
    until("the server has ended", || ended(&pid));
}

#[test]
fn several_of_them_share_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut clients: Vec<Wrapped> = (0..3).map(|_| around_python(dir.path(), &[])).collect();
    for client in &mut clients {
        client.handshake();
    }
    for id in 1..=50 {
        for client in &mut clients {
            assert_eq!(client.text_of(id, "hello", json!({})), "ran hello");
        }
    }
    for client in &mut clients {
        assert_eq!(client.leave().0, 0, "{}", client.stderr());
    }
    let rows = rows(&dir.path().join("audit.db"));
    assert_eq!(rows.iter().filter(|row| row.is("tools/call", "hello")).count(), 150);
}

#[track_caller]
fn check_refused(args: &[&str], env: &[(&str, &str)], parts: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let env: Vec<_> = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let output = run_in(dir.path(), args, &env);
    assert_eq!(output.code, 2, "{args:?}: {}", output.stderr);
    assert_eq!(output.stdout, "", "{args:?}");
    for part in parts {
        assert!(output.stderr.contains(part), "{args:?}: `{part}` is not in: {}", output.stderr);
    }
}

#[test]
fn a_start_that_cannot_be_right_says_why() {
    check_refused(&["wrap"], &[], &["no server is named", "`--`", "`--upstream`"]);
    check_refused(&["wrap", "--", "/no/such/program"], &[], &["`/no/such/program`"]);
    check_refused(&["wrap", "--", "no-such-program"], &[], &["`no-such-program`", "PATH"]);
    check_refused(&["wrap", "--upstream", "nowhere"], &[], &["`upstream.url`"]);
    check_refused(&["wrap", "--upstream", "http://a", "--", "b"], &[], &["--upstream"]);
    let stdout = [("MCP_LOGGING_OUTPUT", "stdout")];
    check_refused(&["wrap", "--", "python3"], &stdout, &["`logging.output`", "`stderr`"]);
    let log = [("MCP_AUDIT_DB_PATH", "/no/such/folder/audit.db")];
    check_refused(&["wrap", "--", "python3"], &log, &["/no/such/folder"]);
}

#[test]
fn policies_and_lockdown_change_while_it_serves() {
    let dir = tempfile::tempdir().unwrap();
    let policies = dir.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    let rule = |tool: &str| {
        let text = format!(
            "package mcp.policy\n\nimport rego.v1\n\ndeny contains \"no\" if input.tool == \"{tool}\"\n"
        );
        std::fs::write(policies.join("main.rego"), text).unwrap();
    };
    rule("cwd");
    let env = [("MCP_POLICY_MODE", "enforce"), ("MCP_POLICY_EVALUATION_TIMEOUT", "2s")];
    let mut wrapped = around_python(dir.path(), &env);
    wrapped.handshake();
    let mut id = 0;
    let mut denied = |wrapped: &mut Wrapped, tool: &str| {
        id += 1;
        wrapped.call(id, tool, json!({}));
        wrapped.hear()["error"].is_object()
    };
    assert!(denied(&mut wrapped, "cwd") && !denied(&mut wrapped, "argv"));
    rule("argv");
    until("the new policy decides", || !denied(&mut wrapped, "cwd"));
    assert!(denied(&mut wrapped, "argv"));
    rule("cwd");
    wrapped.signal(Signal::SIGHUP);
    until("SIGHUP reloads and does not end it", || denied(&mut wrapped, "cwd"));
    assert_eq!(run_in(dir.path(), &["lockdown", "on"], &[]).code, 0);
    until("it is locked down", || denied(&mut wrapped, "argv"));
    assert_eq!(run_in(dir.path(), &["lockdown", "off"], &[]).code, 0);
    until("it is over", || !denied(&mut wrapped, "argv"));
    assert_eq!(wrapped.leave().0, 0);
}
