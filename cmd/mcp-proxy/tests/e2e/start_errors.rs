//! A start that cannot be right ends with exit code 2 and one message that
//! says what, where and what to do; nothing listens.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::harness::gateway::Process;
use crate::harness::python::sql;
use crate::harness::wait::now;
use crate::harness::{Config, Gateway, Upstream, run_in, until, until_some};

fn config() -> Config {
    Config::of(json!({ "url": "http://127.0.0.1:1/mcp", "transport": "http" }))
}

/// What is wrong with the refusals of one table; all cases run before any fails the test.
#[derive(Default)]
struct Refusals {
    complaints: Vec<String>,
}

impl Refusals {
    /// Runs the configuration file as it lies there; the refusal must name all `parts`.
    fn of_file(&mut self, name: &str, config: &Config, parts: &[&str]) {
        let args = ["run", "--config", "proxy.yaml"];
        let mut process = Process::spawn(config.root(), &args, &config.env);
        let mut listens = None;
        let code = until_some("it ends, or goes on", || {
            let code = process.ended().map(|status| status.code().unwrap_or(-1));
            if TcpStream::connect(("127.0.0.1", config.port)).is_ok() {
                listens = listens.or_else(|| Some(now()));
            }
            // A port may be taken early, but a start that fails gives it back at once.
            let stays = listens.is_some_and(|since| since.elapsed() > Duration::from_secs(2));
            code.map(Some).or_else(|| stays.then_some(None))
        });
        let mut complain = |text: String| self.complaints.push(format!("{name}: {text}"));
        let Some(code) = code else { return complain("it started".to_owned()) };
        process.wait();
        let stderr = process.stderr();
        if code != 2 {
            complain(format!("exit code {code}: {stderr}"));
        }
        for part in parts {
            if !stderr.contains(part) {
                complain(format!("`{part}` is not in: {stderr}"));
            }
        }
        if stderr.contains("panicked") || !process.stdout().is_empty() {
            complain(format!("stdout: {}, stderr: {stderr}", process.stdout()));
        }
    }

    fn of(&mut self, name: &str, config: &Config, parts: &[&str]) {
        config.write();
        self.of_file(name, config, parts);
    }

    /// The text as a configuration file: `run` and `config validate` both refuse it.
    fn of_yaml(&mut self, name: &str, yaml: &str, parts: &[&str]) {
        let config = config();
        std::fs::write(config.at("proxy.yaml"), yaml).unwrap();
        self.of_file(name, &config, parts);
        let args = ["config", "validate", "--config", "proxy.yaml"];
        let output = run_in(config.root(), &args, &[]);
        if output.code != 2 {
            self.complaints
                .push(format!("{name}: config validate says {}: {}", output.code, output.stderr));
        }
    }

    #[track_caller]
    fn end(self) {
        assert!(self.complaints.is_empty(), "{:#?}", self.complaints);
    }
}

#[test]
fn a_file_that_is_not_right_names_file_line_key_and_remedy() {
    let mut refusals = Refusals::default();
    let base = "upstream:\n  url: \"http://127.0.0.1:1\"\n";
    let cases: &[(&str, &str, &[&str])] = &[
        ("unknown key", "policy:\n  mdoe: enforce\n", &["proxy.yaml:4", "mdoe", "mode"]),
        ("unknown section", "polcy:\n  mode: enforce\n", &["proxy.yaml:3", "polcy", "policy"]),
        (
            "unknown nested key",
            "server:\n  listen:\n    prot: 3000\n",
            &["proxy.yaml:5", "prot", "port"],
        ),
        ("wrong type", "server:\n  listen:\n    port: many\n", &["proxy.yaml:5", "port", "many"]),
        (
            "port too large",
            "server:\n  listen:\n    port: 70000\n",
            &["proxy.yaml:5", "port", "70000"],
        ),
        ("wrong boolean", "policy:\n  enabled: perhaps\n", &["proxy.yaml:4", "enabled", "perhaps"]),
        (
            "wrong choice",
            "policy:\n  mode: lenient\n",
            &["proxy.yaml:4", "mode", "lenient", "enforce", "audit"],
        ),
        (
            "wrong duration",
            "server:\n  read_timeout: soon\n",
            &["proxy.yaml:4", "read_timeout", "soon", "30s"],
        ),
        ("negative duration", "server:\n  read_timeout: -5s\n", &["proxy.yaml:4", "read_timeout"]),
        (
            "duplicate key",
            "policy:\n  mode: enforce\n  mode: audit\n",
            &["proxy.yaml:", "mode", "duplicate"],
        ),
        (
            "duplicate section",
            "policy:\n  mode: enforce\npolicy:\n  mode: audit\n",
            &["proxy.yaml:", "policy", "duplicate"],
        ),
        ("malformed YAML", "policy:\n  mode: [enforce\n", &["proxy.yaml"]),
        ("tab", "policy:\n\tmode: enforce\n", &["proxy.yaml:4"]),
        ("a list for a section", "policy:\n  - enforce\n", &["proxy.yaml", "policy"]),
        ("a feature that is not built", "tls:\n  enabled: true\n", &["proxy.yaml", "tls"]),
        ("wrong level", "logging:\n  level: loud\n", &["proxy.yaml:4", "level", "loud"]),
        (
            "wrong transport",
            "server:\n  transport: carrier-pigeon\n",
            &["proxy.yaml:4", "transport", "carrier-pigeon"],
        ),
    ];
    for (name, yaml, parts) in cases {
        refusals.of_yaml(name, &format!("{base}{yaml}"), parts);
    }
    refusals.end();
}

#[test]
fn an_upstream_section_that_is_not_right_is_refused() {
    let mut refusals = Refusals::default();
    refusals.of_yaml(
        "both",
        "upstream:\n  url: \"http://127.0.0.1:1\"\n  command: [\"true\"]\n",
        &["upstream", "url", "command"],
    );
    refusals.of_yaml(
        "not a URL",
        "upstream:\n  url: \"not a url\"\n",
        &["proxy.yaml:2", "upstream.url"],
    );
    refusals.of_yaml("another scheme", "upstream:\n  url: \"ftp://127.0.0.1/\"\n", &["url", "ftp"]);
    refusals.of_yaml("a list", "- upstream\n", &["proxy.yaml"]);
    refusals.end();
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let output = run_in(dir.path(), &["run", "--config", "nowhere.yaml"], &[]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("nowhere.yaml"), "{}", output.stderr);
    std::fs::write(dir.path().join("binary.yaml"), [0xff, 0xfe, 0, 1]).unwrap();
    let output = run_in(dir.path(), &["run", "--config", "binary.yaml"], &[]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("binary.yaml"), "{}", output.stderr);
    let output = run_in(dir.path(), &["run", "--config", "."], &[]);
    assert_eq!(output.code, 2, "{}", output.stderr);
    let bomb = format!("a: &a [x,x,x,x,x,x,x,x,x]\n{}", (b'b'..=b'j').map(|letter| {
        let (now, last) = (char::from(letter), char::from(letter - 1));
        format!("{now}: &{now} [*{last},*{last},*{last},*{last},*{last},*{last},*{last},*{last},*{last}]\n")
    }).collect::<String>());
    std::fs::write(dir.path().join("bomb.yaml"), bomb).unwrap();
    let output = run_in(dir.path(), &["run", "--config", "bomb.yaml"], &[]);
    assert_eq!(output.code, 2, "{}", output.stderr);
}

#[test]
fn a_variable_that_is_not_right_is_named() {
    let mut refusals = Refusals::default();
    for (name, value, parts) in [
        ("MCP_SERVER_PORT", "many", &["MCP_SERVER_PORT", "many"][..]),
        ("MCP_POLICY_MODE", "", &["MCP_POLICY_MODE"]),
        ("MCP_SERVER_PORT", "", &["MCP_SERVER_PORT"]),
        ("MCP_AUDIT_ENABLED", "maybe", &["MCP_AUDIT_ENABLED", "maybe"]),
        ("MCP_POLICY_MODE", "lenient", &["MCP_POLICY_MODE", "lenient"]),
        ("MCP_SERVER_READ_TIMEOUT", "soon", &["MCP_SERVER_READ_TIMEOUT", "soon"]),
        ("MCP_SERVER_MAX_CONNECTIONS", "-1", &["MCP_SERVER_MAX_CONNECTIONS", "-1"]),
        ("MCP_LOGGING_LEVEL", "loud", &["MCP_LOGGING_LEVEL", "loud"]),
    ] {
        let config = config().env(name, value);
        config.write();
        refusals.of_file(&format!("{name}={value}"), &config, parts);
    }
    refusals.end();
}

#[test]
fn an_unknown_variable_is_warned_about() {
    let config = config().env("MCP_POLICY_MOED", "audit");
    config.write();
    let output =
        run_in(config.root(), &["config", "validate", "--config", "proxy.yaml"], &config.env);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output.stderr.contains("MCP_POLICY_MOED") && output.stderr.contains("MCP_POLICY_MODE"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_policy_that_is_not_right_names_file_and_line() {
    let mut refusals = Refusals::default();
    let package = "package mcp.policy\n\n";
    let cases: &[(&str, &str, &[&str])] = &[
        ("syntax error", "allow if {\n", &["main.rego"]),
        (
            "syntax error in line 4",
            "default allow := false\nallow if input.tool ==\n",
            &["main.rego:4"],
        ),
        ("a typing error", "default allow := false\n\nallow if if\n", &["main.rego:5"]),
        (
            "old and new syntax",
            "default allow := false\n\nallow if {\n\tinput.tool == \"a\"\n}\n\ndeny { input.tool == \"b\" }\n",
            &["main.rego"],
        ),
        (
            "old and new partial rules",
            "violations contains msg if {\n\tmsg := \"no\"\n}\n\ndeny { input.tool == \"b\" }\n",
            &["main.rego"],
        ),
        ("recursion", "allow if p(1)\n\np(x) if q(x)\n\nq(x) if p(x)\n", &["main.rego", "recurs"]),
        ("recursion of rules", "allow if a\n\na if b\n\nb if a\n", &["main.rego", "recurs"]),
        ("unknown builtin", "allow if launch.rockets(1)\n", &["main.rego", "launch.rockets"]),
        (
            "no network in a policy",
            "allow if http.send({\"url\": \"http://127.0.0.1\"}).status_code == 200\n",
            &["main.rego", "http.send"],
        ),
        ("unknown function", "allow if nobody(input)\n", &["main.rego", "nobody"]),
        ("unsafe variable", "allow if x == y\n", &["main.rego:3"]),
    ];
    for (name, rule, parts) in cases {
        refusals.of(name, &config().policy(&format!("{package}{rule}")), parts);
    }
    refusals.of("no package", &config().policy("allow := true\n"), &["main.rego"]);
    refusals.of("binary", &config().policy("\0\u{1}"), &["main.rego"]);
    refusals.of(
        "another package only",
        &config().policy("package other\n\nallow := true\n"),
        &["mcp.policy"],
    );
    refusals.end();
}

#[test]
fn a_policy_folder_that_is_not_right_is_named() {
    let mut refusals = Refusals::default();
    let missing = config().set("policy.policy_dir", "no-such-folder");
    refusals.of("missing", &missing, &["no-such-folder", "policy_dir"]);
    let empty = config().set("policy.policy_dir", "empty");
    std::fs::create_dir(empty.at("empty")).unwrap();
    refusals.of("empty", &empty, &["empty"]);
    let file = config().set("policy.policy_dir", "a-file").file("a-file", "x");
    refusals.of("a file", &file, &["a-file"]);
    refusals.end();
}

#[test]
fn a_data_file_that_is_not_right_is_named() {
    let mut refusals = Refusals::default();
    let with = |name: &str, text: &str| config().set("policy.data_file", name).file(name, text);
    refusals.of(
        "malformed JSON",
        &with("data.json", "{\"a\": [1,\n2,}\n"),
        &["data.json", "line 2"],
    );
    refusals.of("malformed YAML", &with("data.yaml", "a: [1\nb: 2\n"), &["data.yaml"]);
    refusals.of("not an object", &with("data.json", "[1, 2]"), &["data.json"]);
    refusals.of(
        "missing",
        &config().set("policy.data_file", "no-data.json"),
        &["no-data.json", "data_file"],
    );
    refusals.of("beside the rules", &config().file("policies/data.json", "{"), &["data.json"]);
    refusals.end();
}

#[test]
fn a_port_in_use_is_named() {
    for key in ["server.listen", "metrics", "health"] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let config = config().set(&format!("{key}.port"), port);
        config.write();
        let output = run_in(config.root(), &["run", "--config", "proxy.yaml"], &[]);
        assert_eq!(output.code, 2, "{key}: {}", output.stderr);
        assert!(output.stderr.contains(&port.to_string()), "{key}: {}", output.stderr);
        assert!(
            output.stderr.contains(&format!("{key}.port")),
            "{key}: which key to change: {}",
            output.stderr
        );
    }
    let same = config();
    let port = same.port;
    let same = same.set("metrics.port", port);
    same.write();
    let output = run_in(same.root(), &["run", "--config", "proxy.yaml"], &[]);
    assert_eq!(output.code, 2, "two listeners on one port: {}", output.stderr);
}

#[test]
fn a_database_that_cannot_be_written_is_named() {
    let mut refusals = Refusals::default();
    refusals.of(
        "in no folder",
        &config().set("audit.db_path", "no/such/folder/audit.db"),
        &["no/such/folder", "db_path"],
    );
    let below_a_file = config().file("plain", "x").set("audit.db_path", "plain/audit.db");
    refusals.of("below a file", &below_a_file, &["plain/audit.db", "db_path"]);
    let folder = config().set("audit.db_path", "folder");
    std::fs::create_dir(folder.at("folder")).unwrap();
    refusals.of("a folder", &folder, &["folder", "db_path"]);
    let garbage =
        config().file("audit.db", &"this is not a database, but it is long enough\n".repeat(100));
    let text = std::fs::read(garbage.db()).unwrap();
    garbage.write();
    refusals.of_file("not a database", &garbage, &["audit.db"]);
    assert_eq!(std::fs::read(garbage.db()).unwrap(), text, "a file of somebody else was changed");
    refusals.end();
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    let mut refusals = Refusals::default();
    let upstream = Upstream::plain();
    let finished = Gateway::start(Config::new(upstream.addr)).stop();
    sql(&finished.config.db(), "PRAGMA user_version = 9999");
    refusals.of_file("newer", &finished.config, &["audit.db", "9999"]);
    refusals.end();
}

#[test]
fn a_variable_that_kubernetes_made_up_is_explained_and_not_used() {
    let config = config().env("MCP_SERVER_PORT", "tcp://10.0.0.1:3000");
    let gateway = Gateway::start_unready(config);
    for part in ["MCP_SERVER_PORT", "tcp://10.0.0.1:3000", "Kubernetes", "MCP_SERVER_LISTEN_PORT"] {
        until(part, || gateway.process.stderr().contains(part));
    }
}
