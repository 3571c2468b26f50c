//! Servers that restart, forget and vanish; clients that never say goodbye.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::harness::gateway::sample;
use crate::harness::stub::tools;
use crate::harness::{
    Client, Config, Gate, Gateway, Kind, Stub, Upstream, WsClient, initialize_params, until,
    until_some,
};
use crate::restarts::resident;
use crate::stdio_child::{SERVER, alive};

#[track_caller]
fn echoes(client: &mut Client, said: &str) {
    assert_eq!(client.call_text("echo", json!({ "message": said })), said);
}

/// Calls until a call is answered; what came before must be errors that invite a retry.
#[track_caller]
fn recovers(client: &mut Client, tool: &str) -> u32 {
    let mut errors = 0;
    loop {
        let answer = client.call(tool, json!({ "message": "back" }));
        if answer["result"].is_object() {
            return errors;
        }
        errors += 1;
        assert_eq!(answer["error"]["data"]["kind"], "upstream_error", "{answer}");
        assert!(errors < 3, "one clear error at most, not {errors}: {answer}");
    }
}

#[test]
fn a_server_that_restarts_is_greeted_again() {
    let stub = Stub::legacy(|_| false);
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = gateway.client();
    echoes(&mut client, "before");
    let session = client.session.clone();
    let addr = stub.addr;
    stub.stop();
    let stub = Stub::legacy_at(addr, |_| false);
    echoes(&mut client, "after");
    assert_eq!(client.session, session);
    let methods: Vec<Value> = stub
        .received()
        .iter()
        .map(|one| one.message["method"].clone())
        .filter(|method| !method.is_null())
        .collect();
    let calls: Vec<_> = methods.iter().filter(|method| *method == "tools/call").collect();
    assert!(methods.contains(&json!("initialize")), "{methods:?}");
    assert!(methods.contains(&json!("notifications/initialized")), "{methods:?}");
    assert!(!calls.is_empty(), "{methods:?}");
    let greeted = &stub.of_method("initialize")[0]["params"];
    assert_eq!(greeted["clientInfo"]["name"], "e2e", "with the handshake of the client: {greeted}");
    assert_eq!(greeted["protocolVersion"], "2025-06-18", "{greeted}");
}

#[test]
fn a_server_that_forgets_is_greeted_again_and_the_call_carried_out_once() {
    for (status, body) in [
        ("404 Not Found", "Session not found"),
        (
            "404 Not Found",
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}"#,
        ),
        (
            "400 Bad Request",
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}"#,
        ),
        ("400 Bad Request", "Bad Request: Server not initialized, no such session"),
    ] {
        let stub = Stub::legacy(|_| false);
        stub.say_to_strangers(status, body);
        let gateway = Gateway::start(Config::new(stub.addr));
        let mut client = gateway.client();
        echoes(&mut client, "before");
        stub.forget();
        echoes(&mut client, "after");
        let before = stub.of_method("initialize").len();
        echoes(&mut client, "later");
        assert_eq!(stub.of_method("initialize").len(), before, "greeted once: {status} {body}");
        let carried: Vec<_> = stub
            .received()
            .into_iter()
            .filter(|one| one.message["params"]["arguments"]["message"] == "after")
            .collect();
        let sessions: Vec<_> = carried
            .iter()
            .map(|one| one.head.header("mcp-session-id").unwrap().to_owned())
            .collect();
        assert_eq!(sessions, ["stub-0", "stub-1"], "refused once, taken once: {status} {body}");
        let rows = gateway.finish();
        let calls: Vec<_> = rows.iter().filter(|row| row.text("tool") == "echo").collect();
        assert_eq!(calls.len(), 3, "one row a message: {calls:#?}");
        assert!(
            calls
                .iter()
                .all(|row| row.text("decision") == "allow" && row.text("error_kind").is_empty()),
            "{calls:#?}"
        );
    }
}

#[test]
fn two_calls_at_once_greet_a_forgetful_server_once() {
    let stub = Stub::legacy(|_| false);
    let gateway = Gateway::start(Config::new(stub.addr));
    let client = gateway.client();
    stub.forget();
    std::thread::scope(|scope| {
        for turn in 0..8 {
            let mut other = client.beside();
            scope.spawn(move || {
                let said = format!("call {turn}");
                let answer = other.request_as(
                    &json!(format!("id {turn}")),
                    "tools/call",
                    json!({ "name": "echo", "arguments": { "message": said } }),
                );
                assert_eq!(answer["result"]["content"][0]["text"], said, "{answer}");
            });
        }
    });
    assert_eq!(stub.of_method("initialize").len(), 2, "{:#?}", stub.of_method("initialize"));
}

#[test]
fn a_bad_request_that_is_not_about_the_session_greets_nobody_again() {
    let stub = Stub::legacy(|exchange| {
        if exchange.tool() == "bad" {
            exchange.status("400 Bad Request", "", "the arguments are wrong");
        }
        exchange.tool() == "bad"
    });
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = gateway.client();
    let answer = client.call("bad", json!({}));
    assert_eq!(answer["error"]["data"]["kind"], "upstream_error", "{answer}");
    assert_eq!(stub.of_method("initialize").len(), 1);
    assert_eq!(stub.of_method("tools/call").len(), 1, "a call that may have run is not sent again");
}

#[test]
fn a_call_that_may_have_run_is_not_sent_again() {
    let stub = Stub::legacy(|exchange| {
        if exchange.tool() == "die" {
            exchange.cut();
        }
        exchange.tool() == "die"
    });
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = gateway.client();
    let answer = client.call("die", json!({}));
    assert_eq!(answer["error"]["code"], -31004, "{answer}");
    assert_eq!(stub.of_method("tools/call").len(), 1);
    echoes(&mut client, "the session survives");
}

#[test]
fn a_server_that_is_gone_for_a_moment_costs_nothing() {
    let stub = Stub::legacy(|_| false);
    // On a busy machine the moment may be longer than three attempts.
    let config = Config::new(stub.addr).set("upstream.retry.max_attempts", 10);
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    echoes(&mut client, "before");
    let addr = stub.addr;
    stub.stop();
    std::thread::scope(|scope| {
        let back = scope.spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            Stub::legacy_at(addr, |_| false)
        });
        echoes(&mut client, "while it was away");
        drop(back.join().unwrap());
    });
}

#[test]
fn a_server_of_the_old_transport_that_restarts_is_greeted_again() {
    let old = Kind { legacy: Some("/sse"), ..Kind::default() };
    let upstream = Upstream::start(old);
    let config =
        Config::of(json!({ "url": format!("http://{}/sse", upstream.addr), "transport": "sse" }));
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    echoes(&mut client, "before");
    let addr = upstream.addr;
    upstream.stop();
    let upstream = Upstream::start_at(addr, old);
    recovers(&mut client, "echo");
    let greeted = upstream.of_method("initialize");
    assert_eq!(greeted.len(), 1, "{greeted:?}");
    assert_eq!(greeted[0]["params"]["clientInfo"]["name"], "e2e");
    assert_eq!(upstream.of_method("notifications/initialized").len(), 1);
}

fn child() -> Config {
    let config = Config::of(json!({})).file("server.py", SERVER);
    let script = config.at("server.py").to_str().unwrap().to_owned();
    config.set("upstream.command", json!(["python3", "-u", script]))
}

#[test]
fn a_child_that_was_killed_is_started_again() {
    let gateway = Gateway::start(child());
    let mut client = gateway.client();
    let first = client.call_text("pid", json!({}));
    kill(Pid::from_raw(first.parse().unwrap()), Signal::SIGKILL).unwrap();
    until("it is dead", || !alive(&first));
    recovers(&mut client, "pid");
    let second = client.call_text("pid", json!({}));
    assert_ne!(first, second);
    assert!(alive(&second));
}

#[test]
fn a_child_that_dies_of_a_call_costs_that_call_alone() {
    let gateway = Gateway::start(child());
    let mut client = gateway.client();
    let answer = client.call("exit", json!({}));
    assert_eq!(answer["error"]["data"]["kind"], "upstream_error", "{answer}");
    assert_eq!(recovers(&mut client, "pid"), 0, "the next call is answered");
}

#[test]
fn a_websocket_server_that_restarts_is_greeted_again() {
    let stub = Stub::legacy(|_| false);
    let inner = Gateway::start(Config::new(stub.addr));
    let url = format!("ws://{}/ws", inner.addr());
    let gateway = Gateway::start(Config::of(json!({ "url": url })));
    let mut client = gateway.client();
    echoes(&mut client, "before");
    let inner = inner.crash_and_restart();
    recovers(&mut client, "echo");
    drop(inner);
}

/// A server whose list of tools changes when it restarts.
fn changing(fresh: &Arc<AtomicBool>) -> Stub {
    let fresh = Arc::clone(fresh);
    Stub::legacy(move |exchange| {
        let grown = fresh.load(Ordering::SeqCst);
        if exchange.method() == "tools/list" {
            exchange.result(if grown { tools(&["echo", "more"]) } else { tools(&["echo"]) });
        }
        exchange.method() == "tools/list"
    })
}

#[test]
fn a_client_is_told_when_the_restarted_server_has_other_tools() {
    let fresh = Arc::new(AtomicBool::new(false));
    let stub = changing(&fresh);
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = gateway.client();
    let mut events = client.listen();
    assert_eq!(
        client.request("tools/list", json!({}))["result"]["tools"].as_array().unwrap().len(),
        1
    );
    fresh.store(true, Ordering::SeqCst);
    stub.forget();
    echoes(&mut client, "after");
    assert_eq!(events.next_message()["method"], "notifications/tools/list_changed");
    assert_eq!(
        client.request("tools/list", json!({}))["result"]["tools"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn a_client_is_not_told_of_tools_that_are_the_same() {
    let stub = changing(&Arc::default());
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = gateway.client();
    let mut events = client.listen();
    client.request("tools/list", json!({}));
    stub.forget();
    echoes(&mut client, "after");
    until("the gateway listens again", || stub.streams() == 1);
    stub.push(&json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": "mark" } }));
    assert_eq!(events.next_message()["method"], "notifications/message");
}

#[test]
fn the_stream_of_the_server_is_opened_again_where_the_client_listens() {
    let stub = Stub::legacy(|_| false);
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = gateway.client();
    let mut events = client.listen();
    until("the gateway listens", || stub.streams() == 1);
    stub.forget();
    echoes(&mut client, "after");
    until("the gateway listens again", || stub.streams() == 1);
    stub.push(&json!({ "jsonrpc": "2.0", "method": "notifications/resources/list_changed" }));
    assert_eq!(events.next_message()["method"], "notifications/resources/list_changed");
}

#[test]
fn sessions_that_nobody_ends_stay_below_the_cap() {
    let stub = Stub::legacy(|_| false);
    let gateway = Gateway::start(Config::new(stub.addr).set("session.max_sessions", 256));
    let open = |count: usize| {
        for _ in 0..count {
            gateway.client();
        }
    };
    open(256);
    let before = resident(&gateway);
    open(768);
    let page = gateway.scrape();
    assert!(sample(&page, "mcp_proxy_active_sessions", &[]).unwrap() <= 256.0, "{page}");
    assert_eq!(sample(&page, "mcp_proxy_sessions_total", &[("transport", "http")]), Some(1024.0));
    let after = resident(&gateway);
    assert!(after < before + before / 5, "{before} KiB at the cap, {after} KiB after 768 more");
    echoes(&mut gateway.client(), "room for the next");
}

#[test]
fn sessions_that_were_pushed_out_do_not_stay_at_the_server() {
    let stub = Stub::legacy(|_| false);
    let gateway = Gateway::start(Config::new(stub.addr).set("session.max_sessions", 8));
    for _ in 0..32 {
        gateway.client();
    }
    until("the server is told of the ends", || stub.sessions() <= 8);
}

#[test]
fn a_session_with_an_open_stream_is_not_pushed_out() {
    let stub = Stub::legacy(|_| false);
    let gateway = Gateway::start(Config::new(stub.addr).set("session.max_sessions", 8));
    let mut live = gateway.client();
    let mut events = live.listen();
    for _ in 0..32 {
        gateway.client();
    }
    echoes(&mut live, "still there");
    stub.push(&json!({ "jsonrpc": "2.0", "method": "notifications/prompts/list_changed" }));
    assert_eq!(events.next_message()["method"], "notifications/prompts/list_changed");
}

#[test]
fn when_all_sessions_are_in_use_a_further_one_is_told_to_come_back() {
    let stub = Stub::legacy(|_| false);
    let gateway = Gateway::start(Config::new(stub.addr).set("session.max_sessions", 2));
    let busy: Vec<_> = (0..2).map(|_| gateway.client().listen()).collect();
    let body =
        json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": initialize_params() });
    let answer = Client::new(gateway.addr()).post(&body);
    assert_eq!(answer.status(), 503, "{}", answer.text());
    assert_eq!(answer.json()["error"]["data"]["kind"], "overloaded", "{}", answer.text());
    assert!(answer.head.header("retry-after").is_some(), "{:?}", answer.head);
    drop(busy);
}

/// A server that answers each `initialize` when the gate opens.
fn slow_to_greet() -> (Stub, Gate) {
    let gate = Gate::default();
    let stub = Stub::legacy({
        let gate = gate.clone();
        move |exchange| {
            if exchange.method() == "initialize" {
                gate.wait();
            }
            false
        }
    });
    (stub, gate)
}

#[test]
fn an_abandoned_initialize_leaves_nothing_behind() {
    let (stub, gate) = slow_to_greet();
    let gateway = Gateway::start(Config::new(stub.addr).set("session.idle_timeout", "300ms"));
    let body =
        json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": initialize_params() });
    for greeted in 1..=20 {
        let mut client = Client::new(gateway.addr());
        client.send(&body);
        until("the server is greeted", || stub.of_method("initialize").len() == greeted);
        client.hang_up();
    }
    (0..20).for_each(|_| gate.open());
    until("the gateway has forgotten them", || {
        sample(&gateway.scrape(), "mcp_proxy_active_sessions", &[]) == Some(0.0)
    });
}

#[test]
fn an_abandoned_initialize_is_ended_at_the_server() {
    // `initialize` must not be cancelled, so the server may have opened a session that only it knows of.
    let (stub, gate) = slow_to_greet();
    let gateway = Gateway::start(Config::new(stub.addr).set("session.idle_timeout", "300ms"));
    let mut client = Client::new(gateway.addr());
    client.send(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": initialize_params() }));
    stub.wait_for("the server is greeted", |message| message["method"] == "initialize");
    client.hang_up();
    gate.open();
    until("the server opened a session", || stub.opened() == 1);
    until("the session of the server is ended", || stub.sessions() == 0);
}

#[test]
fn a_session_dropped_before_its_client_said_initialized_goes_on() {
    let stub = Stub::legacy(|_| false);
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = Client::new(gateway.addr());
    let body =
        json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": initialize_params() });
    client.session = client.post(&body).head.header("mcp-session-id").map(str::to_owned);
    let answer = client.request("tools/list", json!({}));
    assert!(answer["result"]["tools"].is_array() || answer["error"].is_object(), "{answer}");
    assert_eq!(client.notify("notifications/initialized", json!({})).status(), 202);
    echoes(&mut client, "after");
}

/// A child with a grandchild in a session of its own, which ignores the end of its input.
const FAMILY: &str = r#"
import json, os, subprocess, sys
grandchild = subprocess.Popen(["sleep", "30"], start_new_session=True)
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message: continue
    params = message.get("params") or {}
    if message["method"] == "initialize":
        result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "family", "version": "1"}}
    elif message["method"] == "tools/call": result = {"content": [{"type": "text", "text": "%d %d" % (os.getpid(), grandchild.pid)}]}
    else: result = {}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"#;

fn family() -> Config {
    let config = Config::of(json!({})).file("server.py", FAMILY);
    let script = config.at("server.py").to_str().unwrap().to_owned();
    config.set("upstream.command", json!(["python3", "-u", script]))
}

#[track_caller]
fn all_gone(pids: &str) {
    for pid in pids.split(' ') {
        until(&format!("{pid} is gone"), || !running(pid));
    }
}

/// Whether the process runs; one that only waits to be collected by init does not.
fn running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn the_family_of_an_ended_session_is_gone() {
    let gateway = Gateway::start(family());
    let mut client = gateway.client();
    let pids = client.call_text("pids", json!({}));
    assert!(pids.split(' ').all(running), "{pids}");
    assert!(matches!(client.delete().status(), 200 | 204));
    all_gone(&pids);
}

#[test]
fn the_family_of_an_idle_session_is_gone() {
    let gateway = Gateway::start(family().set("session.idle_timeout", "300ms"));
    let pids = gateway.client().call_text("pids", json!({}));
    all_gone(&pids);
}

#[test]
fn the_families_of_sessions_that_were_pushed_out_are_gone() {
    let gateway = Gateway::start(family().set("session.max_sessions", 2));
    let pids: Vec<String> = (0..5).map(|_| gateway.client().call_text("pids", json!({}))).collect();
    pids.iter().take(3).for_each(|pids| all_gone(pids));
    assert!(pids[4].split(' ').all(running), "{pids:?}");
}

#[test]
fn the_family_of_a_client_that_went_away_is_gone() {
    let gateway = Gateway::start(family());
    let mut client = gateway.legacy_client();
    let answer = client.call("pids", json!({}));
    let pids = answer["result"]["content"][0]["text"].as_str().unwrap().to_owned();
    client.events.close();
    all_gone(&pids);
    let mut client = WsClient::open(gateway.addr());
    client.handshake();
    let answer = client.call("pids", json!({}));
    let pids = answer["result"]["content"][0]["text"].as_str().unwrap().to_owned();
    client.conn().close();
    all_gone(&pids);
}

#[test]
fn the_child_of_a_gateway_that_was_killed_is_gone() {
    let mut gateway = Gateway::start(family());
    let pids = gateway.client().call_text("pids", json!({}));
    let own = pids.split(' ').next().unwrap().to_owned();
    gateway.process.signal(Signal::SIGKILL);
    gateway.process.wait();
    all_gone(&own);
}

#[test]
fn a_thousand_probes_open_no_session_at_the_server() {
    let stub = Stub::legacy(|_| false);
    let gateway = Gateway::start(Config::new(stub.addr));
    for _ in 0..50 {
        assert_eq!(gateway.ready(), Some(200));
        assert_eq!(gateway.probe("/health").status(), 200);
    }
    assert_eq!(stub.of_method("initialize").len(), 0);
    assert_eq!(stub.sessions(), 0);
}

#[test]
fn a_server_that_is_replaced_by_a_modern_one_is_followed() {
    let stub = Stub::legacy(|_| false);
    let gateway = Gateway::start(Config::new(stub.addr));
    let mut client = gateway.client();
    echoes(&mut client, "before");
    let addr = stub.addr;
    stub.stop();
    let stub = Stub::modern_at(addr, |_| false);
    let said = until_some("the bridge finds the new era", || {
        let answer = client.call("echo", json!({ "message": "after" }));
        answer["result"]["content"][0]["text"].as_str().map(str::to_owned)
    });
    assert_eq!(said, "after");
    drop(stub);
}
