//! A server that is a child process: how it is started, kept and ended.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::gateway::{Process, sample};
use crate::harness::{Client, Config, Gateway, binary, free_port, rows, until, until_some};

/// A server in twenty lines, whose tools show its own surroundings.
pub(crate) const SERVER: &str = r#"
import json, os, signal, sys, time
def send(message): print(json.dumps(message), flush=True)
def run(name, given):
    if name == "env": return os.environ.get(given["name"], "(not set)")
    if name == "names": return ",".join(sorted(os.environ))
    if name == "argv": return json.dumps(sys.argv[1:])
    if name == "cwd": return os.getcwd()
    if name == "pid": return str(os.getpid())
    if name == "exit": os._exit(3)
    if name == "garbage":
        print("this is not JSON-RPC", flush=True); print("", flush=True); print("{", flush=True)
    if name == "scream":
        print("scream on stderr \x1b[31mred", file=sys.stderr, flush=True)
    if name == "long_line": print("x" * given["bytes"], flush=True)
    if name == "stubborn": signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if name == "never": time.sleep(600)
    return "ran " + name
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message or "method" not in message: continue
    params = message.get("params") or {}
    if message["method"] == "initialize":
        result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "child", "version": "1"}}
    elif message["method"] == "tools/list": result = {"tools": [{"name": "pid", "inputSchema": {"type": "object"}}]}
    elif message["method"] == "tools/call": result = {"content": [{"type": "text", "text": run(params["name"], params.get("arguments") or {})}]}
    else: result = {}
    send({"jsonrpc": "2.0", "id": message["id"], "result": result})
"#;

fn config() -> Config {
    let config = Config::of(json!({})).file("server.py", SERVER);
    let script = config.at("server.py").to_str().unwrap().to_owned();
    config.set(
        "upstream.command",
        json!([
            "python3",
            "-u",
            script,
            "$(touch pwned); `touch pwned` && touch pwned",
            "two words"
        ]),
    )
}

pub(crate) fn alive(pid: &str) -> bool {
    // A zombie counts as alive: nobody has collected it.
    Path::new("/proc").join(pid).exists()
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn the_child_gets_its_arguments_without_a_shell() {
    let gateway = Gateway::start(config());
    let said = gateway.client().call_text("argv", json!({}));
    let argv: Vec<String> = serde_json::from_str(&said).unwrap();
    assert_eq!(argv, ["$(touch pwned); `touch pwned` && touch pwned", "two words"]);
    assert!(!gateway.config.at("pwned").exists());
}

#[test]
fn the_child_sees_only_the_environment_it_is_given() {
    let config = config()
        .set("upstream.env", json!({ "GIVEN": "by the file" }))
        .set("upstream.env_allow", json!(["LET_THROUGH"]))
        .env("LET_THROUGH", "yes")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("MCP_POLICY_MODE", "enforce");
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    let mut seen = |name: &str| client.call_text("env", json!({ "name": name }));
    assert_eq!(seen("GIVEN"), "by the file");
    assert_eq!(seen("LET_THROUGH"), "yes");
    assert_eq!(seen("AWS_SECRET_ACCESS_KEY"), "(not set)");
    assert_eq!(seen("MCP_POLICY_MODE"), "(not set)");
    assert_ne!(seen("PATH"), "(not set)");
}

#[test]
fn the_child_starts_in_the_folder_that_is_configured() {
    let config = config();
    let folder = config.at("work");
    std::fs::create_dir(&folder).unwrap();
    let gateway = Gateway::start(config.set("upstream.cwd", folder.to_str().unwrap()));
    let said = gateway.client().call_text("cwd", json!({}));
    assert_eq!(Path::new(&said), folder.canonicalize().unwrap());
}

#[test]
fn children_are_counted_and_end_with_their_session() {
    let gateway = Gateway::start(config());
    let children = || sample(&gateway.scrape(), "mcp_proxy_upstream_children", &[]);
    assert_eq!(children(), Some(0.0));
    let mut client = gateway.client();
    let pid = client.call_text("pid", json!({}));
    assert_eq!(children(), Some(1.0));
    client.delete();
    until("the child is gone", || !alive(&pid));
    until("and no longer counted", || children() == Some(0.0));
}

#[test]
fn a_child_that_dies_is_an_error_and_is_started_again() {
    let gateway = Gateway::start(config());
    let mut client = gateway.client();
    let first = client.call_text("pid", json!({}));
    let answer = client.call("exit", json!({}));
    assert_eq!(answer["error"]["code"], -31004, "{answer}");
    until("the dead child is collected", || !alive(&first));
    until("the gateway is ready again", || gateway.ready() == Some(200));
    let mut fresh = gateway.client();
    let second = fresh.call_text("pid", json!({}));
    assert_ne!(first, second);
    until_some("an old session works again, or is told to start over", || {
        let answer = client.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "pid" } }));
        (answer.status() == 404 || answer.json()["result"].is_object()).then_some(())
    });
}

#[test]
fn garbage_and_screams_of_the_child_are_kept_from_the_client() {
    let gateway = Gateway::start(config());
    let mut client = gateway.client();
    assert_eq!(client.call_text("garbage", json!({})), "ran garbage");
    assert_eq!(client.call_text("scream", json!({})), "ran scream");
    until("stderr of the child is in the log", || {
        gateway.process.stderr().contains("scream on stderr")
    });
    assert!(
        !gateway.process.stderr().contains('\u{1b}'),
        "a control character of the child reached the log"
    );
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let gateway = Gateway::start(
        config().set("upstream.max_message_bytes", 100_000).set("upstream.timeout", "3s"),
    );
    let mut client = gateway.client();
    let answer = client.call("long_line", json!({ "bytes": 300_000 }));
    assert!(answer["error"].is_object() || text(&answer) == "ran long_line", "{answer}");
    until("the gateway is ready", || gateway.ready() == Some(200));
    assert!(gateway.client().call_text("argv", json!({})).contains("two words"));
}

#[test]
fn the_child_ends_with_the_gateway_even_when_it_is_stubborn() {
    let gateway = Gateway::start(config().set("server.graceful_shutdown", "1s"));
    let mut client = gateway.client();
    let pid = client.call_text("pid", json!({}));
    assert_eq!(client.call_text("stubborn", json!({})), "ran stubborn");
    let finished = gateway.stop();
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert!(!alive(&pid), "the child outlived the gateway");
}

#[test]
fn a_command_that_is_not_there_is_an_error_that_names_it() {
    let config = Config::of(json!({ "command": ["/no/such/program"] }));
    let mut gateway = Gateway::launch(config);
    // Either the start is refused, or the gateway serves errors and is not ready.
    let status = until_some("the gateway gives up or says it is not ready", || {
        gateway
            .process
            .ended()
            .and_then(|status| status.code())
            .or_else(|| gateway.ready().map(i32::from))
    });
    assert!(matches!(status, 2 | 503), "{status}");
    until("the log or the probe names the command", || {
        let probe = if status == 503 { gateway.probe("/ready").text() } else { String::new() };
        (gateway.process.stderr() + &probe).contains("/no/such/program")
    });
}

#[test]
fn run_with_a_command_needs_no_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let program = binary();
    let env = [("MCP_SERVER_PORT".to_owned(), port.to_string())];
    let mut process =
        Process::spawn(dir.path(), &["run", "--", program.to_str().unwrap(), "demo-server"], &env);
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    until("it listens", || {
        assert!(process.ended().is_none(), "{}", process.stderr());
        std::net::TcpStream::connect(addr).is_ok()
    });
    let mut client = Client::new(addr);
    client.handshake();
    assert_eq!(client.call_text("echo", json!({ "message": "no file" })), "no file");
    let answer = client.call("delete_file", json!({ "path": "a" }));
    assert_ne!(answer["error"]["code"], -31001, "without a file the mode is audit: {answer}");
    process.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(process.wait(), Some(0));
    let logs: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let db = logs.iter().find(|path| path.extension().is_some_and(|end| end == "db"));
    if let Some(db) = db {
        assert!(rows(db).len() >= 4);
    }
}
