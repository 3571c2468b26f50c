//! The gateway restarts, or is one of several: its clients do not notice.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::python::number;
use crate::harness::wait::now;
use crate::harness::{Client, Config, Gateway, Modern, Stub, initialize_params, run, until};
use crate::stdio_child::SERVER;

fn stub() -> Stub {
    Stub::legacy(|_| false)
}

fn config(stub: &Stub, keys: &Path) -> Config {
    Config::new(stub.addr).set("session.key_file", keys.to_str().unwrap())
}

/// A path for a key file that outlives the folder of any one gateway.
fn keys() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("session.keys");
    (dir, path)
}

/// The same client after its connection was lost.
fn again(client: &Client, gateway: &Gateway) -> Client {
    let mut other = Client::new(gateway.addr());
    other.session.clone_from(&client.session);
    other
}

#[track_caller]
fn works(client: &mut Client) {
    let list = client.request("tools/list", json!({}));
    assert_eq!(list["result"]["tools"][0]["name"], "echo", "{list}");
    assert_eq!(client.call_text("echo", json!({ "message": "still here" })), "still here");
}

/// The status of a call with this session id, and the kind of the error.
fn status_of(gateway: &Gateway, session: &str) -> (u16, String) {
    let mut client = Client::new(gateway.addr());
    client.session = Some(session.to_owned());
    let answer = client.post(&json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/list" }));
    let kind = answer.json()["error"]["data"]["kind"].as_str().unwrap_or_default().to_owned();
    (answer.status(), kind)
}

fn not_found() -> (u16, String) {
    (404, "session_not_found".to_owned())
}

#[track_caller]
fn goes_on_after(signal: Signal) {
    let (stub, (_dir, keys)) = (stub(), keys());
    let mut gateway = Gateway::start(config(&stub, &keys));
    let mut client = gateway.client();
    works(&mut client);
    let requests = "SELECT count(*) FROM audit_log WHERE stage = 'request'";
    until("the log is written", || number(&gateway.config.db(), requests) == 4);
    gateway.process.signal(signal);
    assert!(gateway.process.wait().is_some());
    let gateway = Gateway::start(gateway.config);
    works(&mut again(&client, &gateway));
    let rows = gateway.finish();
    let mut sessions: Vec<&str> = rows
        .iter()
        .filter(|row| row.text("stage") == "request")
        .map(|row| row.text("session_id"))
        .collect();
    assert_eq!(sessions.len(), 6, "{rows:#?}");
    sessions.dedup();
    assert_eq!(sessions.len(), 1, "one session from first to last: {sessions:?}");
}

#[test]
fn a_session_goes_on_after_a_crash() {
    goes_on_after(Signal::SIGKILL);
}

#[test]
fn a_session_goes_on_after_an_orderly_restart() {
    goes_on_after(Signal::SIGTERM);
}

#[test]
fn a_crash_costs_the_server_no_new_session() {
    let (stub, (_dir, keys)) = (stub(), keys());
    let gateway = Gateway::start(config(&stub, &keys));
    let mut client = gateway.client();
    works(&mut client);
    let before = stub.of_method("initialize").len();
    let gateway = gateway.crash_and_restart();
    works(&mut again(&client, &gateway));
    assert_eq!(stub.of_method("initialize").len(), before, "{:#?}", stub.received());
    let headers: Vec<_> = stub.received();
    let last = headers.last().unwrap();
    assert_eq!(last.head.header("mcp-session-id"), Some("stub-0"), "{last:?}");
    assert_eq!(last.head.header("mcp-protocol-version"), Some("2025-06-18"), "{last:?}");
}

#[test]
fn a_client_that_only_listens_is_heard_of_again_after_a_restart() {
    let (stub, (_dir, keys)) = (stub(), keys());
    let gateway = Gateway::start(config(&stub, &keys));
    let client = gateway.client();
    drop(client.listen());
    until("the gateway listens", || stub.listened() == 1);
    let gateway = gateway.crash_and_restart();
    let mut events = again(&client, &gateway).listen();
    let message = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
    until("the gateway listens again", || stub.listened() == 2);
    stub.push(&message);
    assert_eq!(events.next_message()["method"], "notifications/tools/list_changed");
}

#[test]
fn three_copies_behind_a_round_robin_are_one_gateway() {
    let (stub, (_dir, keys)) = (stub(), keys());
    let first = Gateway::start(config(&stub, &keys));
    let copies =
        [first, Gateway::start(config(&stub, &keys)), Gateway::start(config(&stub, &keys))];
    let mut turn = 0;
    let mut next = || {
        turn += 1;
        copies[turn % 3].addr()
    };
    for round in 0..15 {
        let mut client = Client::new(next());
        let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": initialize_params() });
        let opened = client.post(&body);
        assert_eq!(opened.status(), 200, "round {round}: {}", opened.text());
        let session = opened.head.header("mcp-session-id").expect("no session").to_owned();
        let mut at_next = || {
            let mut other = Client::new(next());
            other.session = Some(session.clone());
            other
        };
        let accepted = at_next().notify("notifications/initialized", json!({}));
        assert_eq!(accepted.status(), 202, "round {round}: {}", accepted.text());
        let list = at_next().request("tools/list", json!({}));
        assert_eq!(list["result"]["tools"][0]["name"], "echo", "round {round}: {list}");
        let said = format!("round {round}");
        assert_eq!(at_next().call_text("echo", json!({ "message": said })), said);
        let deleted = at_next().delete();
        assert!(matches!(deleted.status(), 200 | 204), "round {round}: {}", deleted.text());
    }
}

#[test]
fn an_answer_that_arrives_at_another_copy_is_not_swallowed() {
    // An answer to a question of the server may arrive at any copy, none of which may accept it and throw it away.
    let stub = Stub::legacy(|exchange| {
        if exchange.tool() != "ask" {
            return false;
        }
        exchange.event(&json!({ "jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage", "params": { "messages": [], "maxTokens": 1 } }));
        let answer =
            exchange.wait_for(|message| message["id"] == "q" && message.get("method").is_none());
        let said = answer.unwrap_or_default()["result"]["content"]["text"].clone();
        exchange.text(said.as_str().unwrap_or("no answer"));
        true
    });
    let (_dir, keys) = keys();
    let one = Gateway::start(config(&stub, &keys));
    let mut client = one.client();
    let mut events = client.open_stream(&json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": { "name": "ask", "arguments": {} } }));
    let asked = events.next_message();
    let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "role": "assistant", "model": "m", "content": { "type": "text", "text": "yes" } } });
    let two = Gateway::start(config(&stub, &keys));
    let elsewhere = again(&client, &two).post(&answer);
    if elsewhere.status() != 202 {
        assert_eq!(client.post(&answer).status(), 202);
    }
    assert_eq!(events.next_message()["result"]["content"][0]["text"], "yes");
}

/// A session goes on after a crash in front of this server; the text of a call of `tool` before and after.
#[track_caller]
fn texts_around_a_crash(upstream: Config, tool: &str) -> [String; 2] {
    let (_dir, keys) = keys();
    let gateway = Gateway::start(upstream.set("session.key_file", keys.to_str().unwrap()));
    let mut client = gateway.client();
    let before = client.call_text(tool, json!({ "message": "same" }));
    let gateway = gateway.crash_and_restart();
    let after = again(&client, &gateway).call_text(tool, json!({ "message": "same" }));
    [before, after]
}

#[test]
fn a_session_in_front_of_any_server_goes_on_after_a_crash() {
    let (legacy, modern) = (stub(), Stub::modern(|_| false));
    let inner = Gateway::start(Config::new(legacy.addr));
    for (name, config) in [
        ("modern", Config::new(modern.addr)),
        (
            "sse",
            Config::of(
                json!({ "url": format!("http://{}/sse", inner.addr()), "transport": "sse" }),
            ),
        ),
        ("websocket", Config::of(json!({ "url": format!("ws://{}/ws", inner.addr()) }))),
    ] {
        let texts = texts_around_a_crash(config, "echo");
        assert_eq!(texts, ["same", "same"], "{name}");
    }
    let config = Config::of(json!({})).file("server.py", SERVER);
    let script = config.at("server.py").to_str().unwrap().to_owned();
    let config = config.set("upstream.command", json!(["python3", "-u", script]));
    let [before, after] = texts_around_a_crash(config, "pid");
    assert_ne!(before, after, "a child of its own");
}

#[test]
fn the_level_of_logging_is_the_usual_one_again_after_a_crash() {
    let (modern, (_dir, keys)) = (Stub::modern(|_| false), keys());
    let gateway = Gateway::start(config(&modern, &keys));
    let mut client = gateway.client();
    works(&mut client);
    let answer = client.request("logging/setLevel", json!({ "level": "debug" }));
    assert!(answer["result"].is_object(), "{answer}");
    works(&mut client);
    let gateway = gateway.crash_and_restart();
    works(&mut again(&client, &gateway));
    let levels: Vec<Value> = modern
        .of_method("tools/call")
        .iter()
        .map(|call| call["params"]["_meta"]["io.modelcontextprotocol/logLevel"].clone())
        .collect();
    assert_eq!((&levels[1], &levels[2]), (&json!("debug"), &levels[0]), "{levels:?}");
}

#[test]
fn another_key_file_knows_nobody() {
    let (stub, (_dir, keys), (_dir2, others)) = (stub(), keys(), self::keys());
    let gateway = Gateway::start(config(&stub, &keys));
    let session = gateway.client().session.unwrap();
    let other = Gateway::start(config(&stub, &others));
    assert_eq!(status_of(&other, &session), not_found());
    let none = Gateway::start(Config::new(stub.addr));
    assert_eq!(status_of(&none, &session), not_found());
    assert_eq!(status_of(&gateway, &session).0, 200);
}

#[test]
fn nothing_need_be_configured_for_a_session_to_go_on() {
    let stub = stub();
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = gateway.client();
    works(&mut client);
    let key = gateway.config.at("session.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let gateway = gateway.crash_and_restart();
    works(&mut again(&client, &gateway));
}

#[test]
fn the_key_file_is_made_for_its_owner_alone_and_kept() {
    let (stub, (_dir, keys)) = (stub(), keys());
    let gateway = Gateway::start(config(&stub, &keys));
    let text = std::fs::read_to_string(&keys).unwrap();
    assert_eq!(std::fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(text.trim().lines().count(), 1);
    drop(gateway.crash_and_restart());
    assert_eq!(std::fs::read_to_string(&keys).unwrap(), text);
}

#[test]
fn keys_are_exchanged_without_losing_a_session() {
    let (stub, (_dir, keys), (_dir2, newer)) = (stub(), keys(), self::keys());
    let gateway = Gateway::start(config(&stub, &keys));
    let old = gateway.client().session.unwrap();
    drop(Gateway::start(config(&stub, &newer)));
    let both = std::fs::read_to_string(&newer).unwrap() + &std::fs::read_to_string(&keys).unwrap();
    std::fs::write(&keys, both).unwrap();
    let gateway = gateway.crash_and_restart();
    assert_eq!(status_of(&gateway, &old).0, 200, "a session under the old key");
    let new = gateway.client().session.unwrap();
    std::fs::copy(&newer, &keys).unwrap();
    let gateway = gateway.crash_and_restart();
    assert_eq!(status_of(&gateway, &new).0, 200, "a session under the new key");
    assert_eq!(status_of(&gateway, &old), not_found(), "a session under a key that is gone");
}

#[test]
fn a_bad_key_file_stops_the_start() {
    let (stub, (_dir, keys)) = (stub(), keys());
    for bad in ["", "c2hvcnQ=\n", "not base64 at all!\n"] {
        std::fs::write(&keys, bad).unwrap();
        let config = config(&stub, &keys);
        let file = config.write();
        let output = run(&["run", "--config", file.to_str().unwrap()]);
        assert_eq!(output.code, 2, "{bad:?}: {}", output.stderr);
        assert!(output.stderr.contains("session.keys"), "{bad:?}: {}", output.stderr);
        let secret = bad.trim();
        assert!(secret.is_empty() || !output.stderr.contains(secret), "{}", output.stderr);
    }
}

#[test]
fn a_deleted_session_stays_deleted() {
    let (stub, (_dir, keys)) = (stub(), keys());
    let gateway = Gateway::start(config(&stub, &keys));
    let mut client = gateway.client();
    let session = client.session.clone().unwrap();
    assert!(matches!(client.delete().status(), 200 | 204));
    assert_eq!(status_of(&gateway, &session), not_found());
    assert_eq!(status_of(&gateway, &session), not_found(), "asking does not bring it back");
    assert_eq!(client.delete().status(), 404);
}

#[test]
fn an_expired_session_is_not_revived_by_a_restart() {
    let (stub, (_dir, keys)) = (stub(), keys());
    let gateway = Gateway::start(
        config(&stub, &keys).set("session.ttl", "400ms").set("session.idle_timeout", "400ms"),
    );
    let session = gateway.client().session.unwrap();
    until("the session has ended", || status_of(&gateway, &session).0 == 404);
    let gateway = gateway.crash_and_restart();
    assert_eq!(status_of(&gateway, &session), not_found());
}

#[test]
fn a_session_that_sat_idle_comes_back_when_its_client_does() {
    // Its client was told nothing of the end; the id still says all that is needed.
    let (stub, (_dir, keys)) = (stub(), keys());
    let gateway = Gateway::start(config(&stub, &keys).set("session.max_sessions", 8));
    let mut first = gateway.client();
    works(&mut first);
    // Those that were opened last may still be at their handshake, and so not idle.
    for _ in 0..16 {
        gateway.client();
    }
    works(&mut first);
}

#[test]
fn a_session_is_bound_to_whom_it_was_given() {
    let (stub, (_dir, keys)) = (stub(), keys());
    let gateway = Gateway::start(config(&stub, &keys).set("agent.id", "ann"));
    let session = gateway.client().session.unwrap();
    let other = Gateway::start(config(&stub, &keys).set("agent.id", "eve"));
    assert_eq!(status_of(&other, &session), not_found());
}

#[test]
fn changed_ids_are_nobodys() {
    let (stub, (_dir, keys)) = (stub(), keys());
    let gateway = Gateway::start(config(&stub, &keys));
    let session = gateway.client().session.unwrap();
    let gateway = gateway.crash_and_restart();
    assert!(session.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{session}");
    assert!(session.len() >= 22, "128 bits at least: {session}");
    let mut bad: Vec<String> = (0..session.len())
        .step_by(7)
        .map(|place| {
            let mut bytes = session.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        })
        .collect();
    bad.extend((1..session.len()).step_by(29).map(|length| session.chars().take(length).collect()));
    bad.extend([
        format!("{session}A"),
        format!("{session}="),
        format!("A{session}"),
        session.to_uppercase(),
        session.to_lowercase(),
        session.repeat(2),
        "A".repeat(session.len()),
        "-".to_owned(),
        "stub-0".to_owned(),
        "A".repeat(8_000),
    ]);
    for guess in &bad {
        assert_eq!(status_of(&gateway, guess), not_found(), "{guess}");
    }
    assert_eq!(status_of(&gateway, &session).0, 200);
    let rows = gateway.finish();
    let refused = rows.iter().filter(|row| row.text("error_kind") == "session_not_found").count();
    assert_eq!(refused, bad.len(), "one row each");
}

#[test]
fn ten_thousand_guesses_cost_little() {
    let (stub, (_dir, keys)) = (stub(), keys());
    let gateway = Gateway::start(config(&stub, &keys));
    let mut real = gateway.client();
    let session = real.session.clone().unwrap();
    let before = resident(&gateway);
    let started = now();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (session, gateway) = (&session, &gateway);
            scope.spawn(move || {
                let mut client = Client::new(gateway.addr());
                for number in 0..2_500 {
                    let tail = format!("{thread}{number:07}");
                    client.session = Some(
                        session.chars().take(session.len() - tail.len()).collect::<String>()
                            + &tail,
                    );
                    let answer =
                        client.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }));
                    assert_eq!(answer.status(), 404, "{}", answer.text());
                }
            });
        }
    });
    assert!(started.elapsed().as_secs() < 15, "{:?}", started.elapsed());
    assert!(
        resident(&gateway) < before + 48 * 1024,
        "{before} KiB before, {} after",
        resident(&gateway)
    );
    works(&mut real);
}

/// Resident memory of the gateway in KiB.
pub(crate) fn resident(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_modern_client_needs_no_session_anywhere() {
    let stub = Stub::modern(|_| false);
    let copies = [Gateway::start(Config::new(stub.addr)), Gateway::start(Config::new(stub.addr))];
    for turn in 0..6 {
        let mut client = Modern::new(copies[turn % 2].addr());
        let (head, answer) = client
            .exchange("tools/call", json!({ "name": "echo", "arguments": { "message": "hi" } }));
        assert_eq!(answer["result"]["content"][0]["text"], "hi", "{answer}");
        assert_eq!(head.header("mcp-session-id"), None, "{head:?}");
    }
    let asked: Vec<Value> = stub.of_method("initialize");
    assert!(asked.is_empty(), "no downgrade: {asked:?}");
}

#[test]
fn a_session_is_ended_at_the_server_by_a_copy_that_never_saw_it() {
    let (stub, (_dir, keys)) = (stub(), keys());
    let one = Gateway::start(config(&stub, &keys));
    let client = one.client();
    let one = one.crash_and_restart();
    let status = again(&client, &one).delete().status();
    assert!(matches!(status, 200 | 204), "{status}");
    until("the server has been told", || stub.sessions() == 0);
}

#[test]
fn a_copy_does_not_greet_the_server_again_for_a_session_that_another_one_ended() {
    let (stub, (_dir, keys)) = (stub(), keys());
    let copies = [Gateway::start(config(&stub, &keys)), Gateway::start(config(&stub, &keys))];
    let client = copies[0].client();
    until("the first copy listens to the server", || stub.listened() == 1);
    let mut other = again(&client, &copies[1]);
    works(&mut other);
    let listened = stub.listened();
    assert!(matches!(other.delete().status(), 200 | 204));
    until("the first copy notices", || {
        stub.listened() > listened || {
            let asked = stub.received();
            asked
                .iter()
                .rev()
                .take_while(|one| !one.head.first_line.starts_with("DELETE"))
                .any(|one| one.head.first_line.starts_with("GET"))
        }
    });
    works(&mut copies[0].client());
    assert_eq!(stub.of_method("initialize").len(), 2, "one for each client");
}
