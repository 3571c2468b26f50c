//! Every command: what it prints, where, and with which exit code.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::gateway::Process;
use crate::harness::rows::parse;
use crate::harness::{
    Client, Config, Gateway, Output, Upstream, binary, free_port, run, run_in, until, until_some,
};

fn config() -> Config {
    Config::of(json!({ "url": "http://127.0.0.1:1/mcp", "transport": "http" }))
}

#[track_caller]
fn assert_code(args: &[&str], output: &Output, code: i32) {
    assert_eq!(output.code, code, "{args:?}\nstdout: {}\nstderr: {}", output.stdout, output.stderr);
}

#[test]
fn help_version_and_shell_support() {
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["--version"], 0, &["mcp-proxy", "0.1.0"]),
        (
            &["--help"],
            0,
            &[
                "run",
                "config",
                "policy",
                "audit",
                "call",
                "demo-server",
                "explain",
                "completions",
                "man",
            ],
        ),
        (&["-h"], 0, &["Usage"]),
        (&["run", "--help"], 0, &["--config", "--upstream"]),
        (&["audit", "query", "--help"], 0, &["--db", "--format"]),
        (&["completions", "bash"], 0, &["mcp-proxy"]),
        (&["completions", "zsh"], 0, &["mcp-proxy"]),
        (&["completions", "fish"], 0, &["mcp-proxy"]),
        (&["man"], 0, &[".TH"]),
    ];
    for (args, code, parts) in cases {
        let output = run(args);
        assert_code(args, &output, *code);
        for part in *parts {
            assert!(output.stdout.contains(part), "{args:?}: `{part}` is not in {}", output.stdout);
        }
    }
    for args in [
        &["nonsense"][..],
        &["run", "--nonsense"],
        &["policy"],
        &["completions", "tcl"],
        &["audit", "query", "--format", "xml"],
    ] {
        let output = run(args);
        assert_code(args, &output, 2);
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{args:?}: errors belong on stderr"
        );
    }
}

#[test]
fn every_kind_of_error_is_explained() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    let kinds: Vec<String> = std::fs::read_dir(docs)
        .expect("docs/errors")
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(kinds.contains(&"policy_denied".to_owned()), "{kinds:?}");
    for kind in kinds {
        let args = ["explain", kind.as_str()];
        let output = run(&args);
        assert_code(&args, &output, 0);
        assert!(output.stdout.contains("What to do"), "{kind}: {}", output.stdout);
    }
    let args = ["explain", "policy_denid"];
    let output = run(&args);
    assert_code(&args, &output, 2);
    assert!(output.stderr.contains("policy_denied"), "a near name is suggested: {}", output.stderr);
}

#[test]
fn config_validate_show_schema_and_init() {
    let config = config()
        .set("upstream.headers", Value::Null)
        .unset("upstream.headers")
        .env("MCP_POLICY_MODE", "audit");
    config.write();
    let output = run_in(config.root(), &["config", "validate", "--config", "proxy.yaml"], &[]);
    assert_code(&["config", "validate"], &output, 0);
    let output = run_in(config.root(), &["config", "show", "--config", "proxy.yaml"], &config.env);
    assert_code(&["config", "show"], &output, 0);
    assert!(output.stdout.contains("audit"), "{}", output.stdout);
    for origin in ["MCP_POLICY_MODE", "proxy.yaml", "default"] {
        assert!(
            output.stdout.contains(origin),
            "the origin `{origin}` is not shown: {}",
            output.stdout
        );
    }
    let output = run(&["config", "schema"]);
    assert_code(&["config", "schema"], &output, 0);
    let schema: Value = serde_json::from_str(&output.stdout).expect("the schema is JSON");
    assert_eq!(schema["additionalProperties"], false, "{schema}");

    let dir = tempfile::tempdir().unwrap();
    let output = run_in(dir.path(), &["config", "init"], &[]);
    assert_code(&["config", "init"], &output, 0);
    let text = if output.stdout.contains("server:") {
        output.stdout
    } else {
        let made = until_some("a file is made", || find_yaml(dir.path()));
        let again = run_in(dir.path(), &["config", "init"], &[]);
        assert_eq!(again.code, 2, "a file that is there is not overwritten: {}", again.stderr);
        std::fs::read_to_string(made).unwrap()
    };
    assert!(text.contains('#'), "the file is commented");
    std::fs::write(dir.path().join("made.yaml"), &text).unwrap();
    let output = run_in(
        dir.path(),
        &["config", "validate", "--config", "made.yaml"],
        &[("MCP_UPSTREAM_URL".into(), "http://127.0.0.1:1".into())],
    );
    assert_eq!(output.code, 0, "what `init` writes is valid: {}", output.stderr);
}

fn find_yaml(dir: &Path) -> Option<std::path::PathBuf> {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                return Some(path);
            }
        }
    }
    None
}

#[test]
fn secrets_are_masked_and_read_from_where_they_lie() {
    let config = config().set("upstream.url", "http://user:hunter2@127.0.0.1:1/mcp");
    config.write();
    let output = run_in(config.root(), &["config", "show", "--config", "proxy.yaml"], &[]);
    assert!(
        !output.stdout.contains("hunter2") && !output.stderr.contains("hunter2"),
        "{}",
        output.stdout
    );

    let upstream = Upstream::plain();
    let config = Config::of(json!({ "url": "${env:WHERE}", "transport": "http" }))
        .env("WHERE", &format!("http://{}/mcp", upstream.addr))
        .file("name.txt", "from a file\n");
    let name = format!("${{file:{}}}", config.at("name.txt").display());
    let gateway = Gateway::start(config.set("agent.id", "a").set("agent.name", name));
    gateway.client().call("echo", json!({}));
    assert!(gateway.finish().iter().all(|row| row.text("agent_name") == "from a file"));

    let missing = Config::of(json!({ "url": "${env:NOT_SET_ANYWHERE}", "transport": "http" }));
    missing.write();
    let output = run_in(missing.root(), &["run", "--config", "proxy.yaml"], &[]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("NOT_SET_ANYWHERE"), "{}", output.stderr);
}

#[test]
fn policy_eval_answers_with_its_exit_code() {
    let config = config();
    let input = |tool: &str| {
        json!({ "stage": "request", "method": "tools/call", "tool": tool, "arguments": { "path": "/x" } }).to_string()
    };
    let config = config
        .file("allowed.json", &input("echo"))
        .file("denied.json", &input("delete_file"))
        .file("broken.json", "{");
    let eval = |file: &str| {
        run_in(
            config.root(),
            &["policy", "eval", "-d", "policies", "-i", file, "--format", "json"],
            &[],
        )
    };
    let allowed = eval("allowed.json");
    assert_eq!(allowed.code, 0, "{}", allowed.stderr);
    let decision: Value = serde_json::from_str(&allowed.stdout).unwrap();
    assert_eq!(decision["decision"], "allow", "{decision}");
    let denied = eval("denied.json");
    assert_eq!(denied.code, 1, "{}", denied.stderr);
    let decision: Value = serde_json::from_str(&denied.stdout).unwrap();
    assert_eq!(decision["decision"], "deny", "{decision}");
    assert!(denied.stdout.contains("nobody may delete /x"), "{decision}");
    assert_eq!(eval("broken.json").code, 2);
    assert_eq!(eval("missing.json").code, 2);
    let nowhere =
        run_in(config.root(), &["policy", "eval", "-d", "nowhere", "-i", "allowed.json"], &[]);
    assert_eq!(nowhere.code, 2, "{}", nowhere.stderr);
    let failing = config.policy("package mcp.policy\n\nallow := \"yes\"\n");
    let output = run_in(
        failing.root(),
        &["policy", "eval", "-d", "policies", "-i", "allowed.json", "--format", "json"],
        &[],
    );
    assert!(matches!(output.code, 1 | 2), "a policy that fails does not allow: {}", output.stdout);
    let stdin =
        pipe(failing.root(), &["policy", "eval", "-d", "policies", "-i", "-"], &input("echo"));
    assert!(matches!(stdin, 1 | 2), "{stdin}");
}

fn pipe(dir: &Path, args: &[&str], input: &str) -> i32 {
    let mut child = Command::new(binary())
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait().unwrap().code().unwrap()
}

#[test]
fn policy_test_runs_the_tests_beside_the_rules() {
    let good = "package mcp.policy\n\ntest_delete_is_denied if count(violations) > 0 with input as {\"tool\": \"delete_file\", \"arguments\": {}}\n";
    let config = config().file("policies/main_test.rego", good);
    let output = run_in(config.root(), &["policy", "test", "policies"], &[]);
    assert_code(&["policy", "test"], &output, 0);
    assert!(output.stdout.contains('1'), "{}", output.stdout);
    let config = config.file("policies/bad_test.rego", "package mcp.policy\n\ntest_nothing_is_denied if count(violations) == 0 with input as {\"tool\": \"delete_file\", \"arguments\": {}}\n");
    let output = run_in(config.root(), &["policy", "test", "policies"], &[]);
    assert_code(&["policy", "test"], &output, 1);
    assert!(output.stdout.contains("test_nothing_is_denied"), "{}", output.stdout);
    let config = config.file("policies/bad_test.rego", "package mcp.policy\n\ntest_broken if {\n");
    assert_code(
        &["policy", "test"],
        &run_in(config.root(), &["policy", "test", "policies"], &[]),
        2,
    );
    assert_code(
        &["policy", "test"],
        &run_in(config.root(), &["policy", "test", "nowhere"], &[]),
        2,
    );
}

#[test]
fn the_shipped_policies_pass_their_own_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = run_in(&root, &["policy", "test", "policies"], &[]);
    assert_code(&["policy", "test", "policies"], &output, 0);
}

#[test]
fn audit_query_filters_and_formats() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut client = gateway.client();
    for _ in 0..3 {
        client.call("echo", json!({}));
    }
    client.call("delete_file", json!({}));
    let finished = gateway.stop();
    let db = finished.config.db();
    let db = db.to_str().unwrap();
    let query = |args: &[&str]| {
        let all = [&["audit", "query", "--db", db][..], args].concat();
        let output = run(&all);
        assert_code(&all, &output, 0);
        output.stdout
    };
    for (args, wanted) in [
        (&["--format", "json"][..], 6),
        (&["--format", "json", "--tool", "echo"], 3),
        (&["--format", "json", "--method", "tools/call"], 4),
        (&["--format", "json", "--decision", "deny"], 1),
        (&["--format", "json", "--limit", "2"], 2),
        (&["--format", "json", "--tool", "nobody"], 0),
    ] {
        assert_eq!(parse(&query(args)).len(), wanted, "{args:?}");
    }
    let pretty = query(&[]);
    for part in ["delete_file", "deny", "echo", "allow"] {
        assert!(pretty.contains(part), "{part} is not in {pretty}");
    }
    let missing = run(&["audit", "query", "--db", "no-such.db"]);
    assert_code(&["audit", "query"], &missing, 2);
    assert!(missing.stderr.contains("no-such.db"), "{}", missing.stderr);
    assert!(!Path::new("no-such.db").exists(), "a query made a database");
    let from_config = run_in(
        finished.config.root(),
        &["audit", "query", "--config", "proxy.yaml", "--format", "json"],
        &[],
    );
    assert_eq!(parse(&from_config.stdout).len(), 6, "{}", from_config.stderr);
}

#[test]
fn audit_tail_follows_the_log() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    gateway.client().call("echo", json!({}));
    let db = gateway.config.db();
    until("the log is there", || db.exists());
    let args = ["audit", "tail", "--follow", "--db", db.to_str().unwrap(), "--format", "json"];
    let mut tail = Process::spawn(gateway.config.root(), &args, &[]);
    let mut client = gateway.client();
    until("the tail shows a new row", || {
        assert!(tail.ended().is_none(), "{}", tail.stderr());
        client.call("delete_file", json!({}));
        tail.stdout().contains("delete_file")
    });
    let line = tail.stdout().lines().find(|line| line.contains("delete_file")).unwrap().to_owned();
    let row: Value = serde_json::from_str(&line).expect("one object a line");
    assert_eq!(row["decision"], "deny", "{row}");
    tail.signal(nix::sys::signal::Signal::SIGINT);
    assert!(tail.wait().is_some());
}

#[test]
fn call_is_a_small_client() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let url = format!("http://{}/mcp", gateway.addr());
    let call = |args: &[&str]| run(&[&["call", "--url", url.as_str()][..], args].concat());
    let listed = call(&["tools/list"]);
    assert_code(&["tools/list"], &listed, 0);
    assert!(listed.stdout.contains("read_file"), "{}", listed.stdout);
    let echoed = call(&["echo", "message=hello there"]);
    assert_code(&["echo"], &echoed, 0);
    assert!(echoed.stdout.contains("hello there"), "{}", echoed.stdout);
    let denied = call(&["delete_file", "path=/x"]);
    assert_code(&["delete_file"], &denied, 1);
    let said = format!("{}{}", denied.stdout, denied.stderr);
    assert!(said.contains("nobody may delete /x") && said.contains("31001"), "{said}");
    let down = run(&["call", "--url", "http://127.0.0.1:1/mcp", "tools/list"]);
    assert_code(&["call"], &down, 2);
    assert_code(&["call"], &call(&["echo", "no-equals-sign"]), 2);
    assert_eq!(upstream.calls(), ["echo"]);
}

/// The demo server on a port of its own.
fn demo() -> (Process, SocketAddr) {
    let mut process =
        Process::spawn(Path::new("."), &["demo-server", "--listen", "127.0.0.1:0"], &[]);
    let addr = until_some("the demo server says where it is", || {
        assert!(process.ended().is_none(), "{}", process.stderr());
        let text = process.stderr();
        let line =
            text.lines().find_map(|line| line.split("demo server on http://").nth(1))?.to_owned();
        line.trim().trim_end_matches("/mcp").parse().ok()
    });
    (process, addr)
}

#[test]
fn the_demo_server_works_behind_the_gateway() {
    let (_process, addr) = demo();
    let gateway = Gateway::start(Config::new(addr));
    let mut client = gateway.client();
    let list = client.request("tools/list", json!({}));
    let tools = list["result"]["tools"].as_array().unwrap();
    for name in [
        "echo",
        "list_files",
        "read_file",
        "write_file",
        "lookup_customer",
        "slow",
        "count",
        "weather",
    ] {
        assert!(tools.iter().any(|tool| tool["name"] == name), "{name}: {list}");
    }
    assert_eq!(client.call_text("echo", json!({ "message": "m" })), "m");
    assert!(
        client.call("write_file", json!({ "path": "a.txt", "text": "written" }))["result"]
            .is_object()
    );
    assert!(client.call_text("read_file", json!({ "path": "a.txt" })).contains("written"));
    assert!(client.call_text("list_files", json!({})).contains("a.txt"));
    let denied = client.call("delete_file", json!({ "path": "a.txt" }));
    assert_eq!(denied["error"]["code"], -31001, "{denied}");
    assert!(client.call_text("list_files", json!({})).contains("a.txt"), "the file is still there");
    assert!(
        client
            .call("read_file", json!({ "path": "../../../etc/passwd" }))
            .to_string()
            .to_lowercase()
            .contains("error")
    );
    let resources = client.request("resources/read", json!({ "uri": "demo://welcome.txt" }));
    assert!(resources["result"]["contents"][0]["text"].is_string(), "{resources}");
    let prompt =
        client.request("prompts/get", json!({ "name": "summarise", "arguments": { "text": "t" } }));
    assert!(prompt["result"]["messages"].is_array(), "{prompt}");
    let counted = client.request(
        "tools/call",
        json!({ "name": "count", "arguments": { "to": 3 }, "_meta": { "progressToken": "t" } }),
    );
    assert!(counted["result"].is_object(), "{counted}");
    let steps =
        client.seen.iter().filter(|message| message["method"] == "notifications/progress").count();
    assert!(steps >= 2, "{:?}", client.seen);
    assert!(client.call("slow", json!({ "milliseconds": 1 }))["result"].is_object());
}

#[test]
fn run_with_an_upstream_needs_no_configuration() {
    let (_process, addr) = demo();
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let env = [("MCP_SERVER_PORT".to_owned(), port.to_string())];
    let url = format!("http://{addr}/mcp");
    let mut process = Process::spawn(dir.path(), &["run", "--upstream", &url], &env);
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    until("it listens", || {
        assert!(process.ended().is_none(), "{}", process.stderr());
        std::net::TcpStream::connect(at).is_ok()
    });
    until("it says where", || process.stderr().contains(&port.to_string()));
    let mut client = Client::new(at);
    client.handshake();
    assert_eq!(client.call_text("echo", json!({ "message": "m" })), "m");
    process.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(process.wait(), Some(0), "{}", process.stderr());
    let both = run_in(dir.path(), &["run", "--upstream", &url, "--", "true"], &env);
    assert_eq!(both.code, 2, "{}", both.stderr);
}

#[test]
fn the_shipped_configuration_is_valid_and_starts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = run_in(&root, &["config", "validate", "--config", "config/proxy.yaml"], &[]);
    assert_code(&["config", "validate"], &output, 0);
}

#[test]
fn the_log_goes_where_it_is_sent() {
    let upstream = Upstream::plain();
    for (format, output) in
        [("json", "stderr"), ("text", "stderr"), ("json", "file"), ("text", "stdout")]
    {
        let config = Config::new(upstream.addr)
            .set("logging.format", format)
            .set("logging.output", output)
            .set("logging.level", "debug");
        let log = config.at("gateway.log");
        let config = if output == "file" {
            config.set("logging.file.path", log.to_str().unwrap())
        } else {
            config
        };
        let gateway = Gateway::start(config);
        gateway.client().call("delete_file", json!({}));
        let finished = gateway.stop();
        let text = match output {
            "file" => std::fs::read_dir(finished.config.root())
                .unwrap()
                .filter_map(|entry| {
                    Some(entry.unwrap().path())
                        .filter(|path| path.to_string_lossy().contains("gateway"))
                })
                .map(|path| std::fs::read_to_string(path).unwrap())
                .collect::<String>(),
            "stdout" => finished.stdout,
            _ => finished.stderr,
        };
        let structured = text
            .lines()
            .filter(|line| serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()))
            .count();
        assert!(!text.is_empty(), "{format} to {output}: nothing was logged");
        assert_eq!(structured > 0, format == "json", "{format} to {output}: {text}");
    }
}
