use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::{FileLayer, LIMIT, MOST_PROBLEMS, read};
use crate::Error;
use crate::catalog::Section;

fn written(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.yaml");
    fs::write(&path, content).unwrap();
    (folder, path)
}

fn layer(content: &str) -> Result<FileLayer, Error> {
    let (_folder, path) = written(content.as_bytes());
    let env = BTreeMap::from([
        ("TOKEN".to_owned(), "t0ken".to_owned()),
        ("PORT".to_owned(), "4000".to_owned()),
    ]);
    read(&path, &Section::root(), &env)
}

/// What the file says at a JSON pointer.
#[track_caller]
fn check(content: &str, pointer: &str, expected: Json) {
    let layer = layer(content).unwrap();
    assert_eq!(layer.problems, [], "{content}");
    assert_eq!(layer.tree.pointer(pointer), Some(&expected), "{content}");
}

#[test]
fn values_are_read() {
    check("server: {listen: {port: 3001}}", "/server/listen/port", json!(3001));
    check("policy:\n  enabled: false", "/policy/enabled", json!(false));
    check("upstream: {url: null}", "/upstream/url", json!(null));
    check("agent: {capabilities: [\"a\", \"b c\"]}", "/agent/capabilities", json!(["a", "b c"]));
    check("upstream: {env: {A_b: x}}", "/upstream/env/A_b", json!("x"));
    check("session: {ttl: 90s}", "/session/ttl", json!("1m30s"));
    check("agent: {id: \"123\"}", "/agent/id", json!("123"));
    check("agent: {id: &x same, name: *x}", "/agent/name", json!("same"));
}

#[test]
fn references_are_replaced_and_remembered() {
    for (content, pointer, expected) in [
        ("agent: {id: \"${env:TOKEN}\"}", "/agent/id", json!("t0ken")),
        (
            "upstream: {env: {KEY: \"Bearer ${env:TOKEN}\"}}",
            "/upstream/env/KEY",
            json!("Bearer t0ken"),
        ),
        ("upstream: {command: [\"x\", \"${env:TOKEN}\"]}", "/upstream/command/1", json!("t0ken")),
        ("server: {listen: {port: \"${env:PORT}\"}}", "/server/listen/port", json!(4000)),
    ] {
        check(content, pointer, expected);
        assert_eq!(layer(content).unwrap().secrets.len(), 1, "{content}");
    }
    assert_eq!(layer("agent: {id: \"$${env:X}\"}").unwrap().secrets.len(), 0);
}

#[test]
fn empty_files_and_sections_say_nothing() {
    for content in ["", "\n", "# nothing\n", "---\n", "{}", "server:\n", "server:\n  listen:\n"] {
        let layer = layer(content).unwrap();
        assert_eq!((layer.problems.len(), layer.lines.len()), (0, 0), "{content:?}");
    }
}

#[test]
fn lines_of_keys_are_remembered() {
    let layer = layer("server:\n  listen:\n    port: 1\nagent: {id: x, tags: [a,\n b]}\n").unwrap();
    let expected = [("agent.id", 4), ("agent.tags", 4), ("server.listen.port", 3)];
    assert_eq!(layer.lines, expected.map(|(key, line)| (key.to_owned(), line)).into());
}

/// Expects exactly these problems, each as what follows the path of the file.
#[track_caller]
fn check_problems(content: &str, expected: &[&str]) {
    let problems = match layer(content) {
        Ok(layer) => layer.problems,
        Err(Error::Invalid(problems)) => problems,
        Err(other) => panic!("{other}"),
    };
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), expected.len(), "{texts:#?}");
    for (text, expected) in texts.iter().zip(expected) {
        let (_, text) = text.split_once("proxy.yaml:").unwrap();
        let text = text.trim_start();
        assert!(text.starts_with(expected), "{text}\nis not\n{expected}");
    }
}

#[test]
fn unknown_keys_are_refused_with_a_suggestion() {
    check_problems(
        "server:\n  listen:\n    prot: 1\n",
        &["3:5: `server.listen.prot`: there is no such key; did you mean `server.listen.port`?"],
    );
    check_problems(
        "server:\n  port: 1\n",
        &["2:3: `server.port`: there is no such key; did you mean `server.listen.port`?"],
    );
    check_problems("polcy: {}\n", &["1:1: `polcy`: there is no such key; did you mean `policy`?"]);
    check_problems(
        "server:\n  listen:\n    hostname: x\n",
        &[
            "3:5: `server.listen.hostname`: there is no such key; the keys here are `address`, `port`",
        ],
    );
    check_problems("1: x\n", &["1:1: expected the name of a key, found `1`; remove it"]);
}

#[test]
fn keys_of_other_versions_are_refused() {
    for (content, expected) in [
        ("tls:\n  enabled: false\n", "1:1: `tls` is not available in this version; remove it"),
        ("servers: []\n", "1:1: `servers` is not available"),
        ("agentfacts: {mode: optional}\n", "1:1: `agentfacts` is not available"),
        ("guardrails: {}\n", "1:1: `guardrails` is not available"),
        (
            "upstream:\n  circuit_breaker:\n    enabled: true\n",
            "2:3: `upstream.circuit_breaker` is not",
        ),
        (
            "server:\n  security:\n    cors_allowed_origins: []\n",
            "3:5: `server.security.cors_allowed_origins` is not available in this version",
        ),
    ] {
        check_problems(content, &[expected]);
    }
}

#[test]
fn values_that_do_not_fit_say_what_would() {
    for (content, expected) in [
        (
            "server: {transport: pigeon}\n",
            "1:10: `server.transport`: expected one of `all`, `http`, `sse`, `websocket`, `stdio`, found the text `pigeon`",
        ),
        (
            "server: {listen: {port: 70000}}",
            "1:19: `server.listen.port`: expected a whole number from 0 to 65535, found `70000`",
        ),
        (
            "server: {listen: {port: \"3000\"}}",
            "1:19: `server.listen.port`: expected a whole number from 0 to 65535, found the text `3000`; write it without quotes",
        ),
        ("server: {listen: {port: 1.5}}", "1:19: `server.listen.port`: expected a whole number"),
        (
            "server: {listen: {port: }}",
            "1:19: `server.listen.port`: expected a whole number from 0 to 65535, found nothing; write a value or remove the key",
        ),
        (
            "session: {max_sessions: 0}",
            "1:11: `session.max_sessions`: expected a whole number, 1 or more, found `0`",
        ),
        ("session: {max_sessions: 18446744073709551615}", "1:11: `session.max_sessions`: expected"),
        (
            "policy: {enabled: yes}",
            "1:10: `policy.enabled`: expected `true` or `false`, found the text `yes`; write it without quotes, as `true`",
        ),
        (
            "policy: {mode: monitor}",
            "1:10: `policy.mode`: expected one of `audit`, `enforce`, found the text `monitor`",
        ),
        (
            "session: {ttl: 30}",
            "1:11: `session.ttl`: expected a length of time such as `100ms`, `30s`, `5m` or `24h`, found `30`; add a unit",
        ),
        ("session: {ttl: soon}", "1:11: `session.ttl`: expected a length of time"),
        ("agent: {id: 7}", "1:9: `agent.id`: expected text, found `7`; put it in quotes"),
        ("version: 1.0", "1:1: `version`: expected one of `1.0`, found `1.0`; put it in quotes"),
        ("agent: {tags: a}", "1:9: `agent.tags`: expected a list, found the text `a`"),
        (
            "agent:\n  tags:\n    - a\n    - 7\n",
            "4:7: `agent.tags`: expected text, found `7`; put it in quotes",
        ),
        ("agent: x", "1:1: `agent`: expected a section with keys, found the text `x`"),
        ("upstream: {env: {A: 1}}", "1:18: `upstream.env`: expected text, found `1`"),
        ("agent: {id: !tag x}", "1:9: `agent.id`: expected text, found the tag `!tag`"),
        ("just text", "1:1: `the file`: expected a section with keys"),
        (
            "agent: {id: \"${env:MISSING}\"}",
            "1:9: `agent.id`: environment variable `MISSING` is not set",
        ),
        (
            "server: {listen: {port: \"${env:TOKEN}\"}}",
            "1:19: `server.listen.port`: expected a whole number from 0 to 65535, found what `${env:TOKEN}` stands for",
        ),
    ] {
        check_problems(content, &[expected]);
    }
}

#[test]
fn a_secret_is_not_told_even_when_it_does_not_fit() {
    let problems = layer("session: {ttl: \"${env:TOKEN}\"}").unwrap().problems;
    assert_eq!(problems.len(), 1);
    assert!(!problems[0].text.contains("t0ken"), "{}", problems[0]);
}

#[test]
fn all_problems_are_told_at_once() {
    check_problems(
        "server:\n  listen:\n    port: x\n    prot: 1\nagent:\n  id: 7\n",
        &["3:5: `server.listen.port`", "4:5: `server.listen.prot`", "6:3: `agent.id`"],
    );
}

#[test]
fn a_file_of_another_kind_does_not_flood() {
    let other: String = (0..1000).map(|number| format!("key{number}: x\n")).collect();
    assert_eq!(layer(&other).unwrap().problems.len(), MOST_PROBLEMS);
}

#[test]
fn what_is_not_yaml_is_told_with_its_place() {
    check_problems(
        "server:\n  listen: {port: 1\n",
        &["3:1: the file is not valid YAML: did not find expected ',' or '}'"],
    );
    check_problems(
        "a: 1\na: 2\n",
        &["1:1: the file is not valid YAML: duplicate entry with key \"a\""],
    );
    check_problems(
        "a: 1\n---\nb: 2\n",
        &["the file is not valid YAML: deserializing from YAML containing more than one document"],
    );
    check_problems("a: *b\n", &["1:4: the file is not valid YAML: unknown anchor"]);
    check_problems("\tx: 1\n", &["1:1: the file is not valid YAML: "]);
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (name, of) in ["b", "c", "d", "e", "f", "g", "h", "i", "j"]
        .into_iter()
        .zip(["a", "b", "c", "d", "e", "f", "g", "h", "i"])
    {
        let items = vec![format!("*{of}"); 10].join(", ");
        bomb.push_str(&format!("{name}: &{name} [{items}]\n"));
    }
    let error = layer(&bomb).unwrap_err().to_string();
    assert!(error.contains("repetition limit exceeded"), "{error}");
    assert!(error.ends_with("write out what the aliases repeat"), "{error}");
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.yaml");
    let error = read(&missing, &Section::root(), &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.contains("none.yaml: cannot read the configuration: "), "{error}");
    assert!(error.ends_with("name an existing file with `--config`"), "{error}");

    let (_folder, binary) = written(&[b'a', b':', 0xff]);
    let error = read(&binary, &Section::root(), &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.contains("utf-8"), "{error}");

    let (_folder, large) = written(&vec![b'#'; usize::try_from(LIMIT).unwrap() + 1]);
    let error = read(&large, &Section::root(), &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.contains("is larger than 1048576 bytes"), "{error}");
}
