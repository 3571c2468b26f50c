//! SIGTERM: what is in flight is finished, streams end, nothing is lost.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::harness::rows::only;
use crate::harness::wait::now;
use crate::harness::{Client, Config, Gateway, Upstream, rows, until, until_some};

fn hold() -> serde_json::Value {
    json!({ "jsonrpc": "2.0", "id": "held", "method": "tools/call", "params": { "name": "hold", "arguments": {} } })
}

#[test]
fn open_streams_do_not_delay_the_end() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let client = gateway.client();
    let mut stream = client.listen();
    let mut old = gateway.legacy_client();
    let began = now();
    let finished = gateway.stop();
    let took = began.elapsed();
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert!(took < Duration::from_secs(3), "the end took {took:?}");
    assert_eq!(stream.next().unwrap_or(None), None);
    assert_eq!(old.events.next().unwrap_or(None), None);
    assert_eq!(rows(&finished.config.db()).len(), 4);
}

#[test]
fn a_call_in_flight_is_answered_before_the_end() {
    let upstream = Upstream::plain();
    let mut gateway =
        Gateway::start(Config::new(upstream.addr).set("server.graceful_shutdown", "10s"));
    let mut client = gateway.client();
    let _stream = client.listen();
    let mut old = gateway.legacy_client();
    client.send(&hold());
    assert_eq!(old.post(&hold()).status(), 202);
    until("both calls arrive", || upstream.calls().len() == 2);
    gateway.process.signal(Signal::SIGTERM);
    until("no longer ready, or closed", || gateway.ready() != Some(200));
    upstream.release();
    upstream.release();
    assert_eq!(client.answer_to(&json!("held"))["result"]["content"][0]["text"], "released");
    assert_eq!(old.events.next_message()["result"]["content"][0]["text"], "released");
    assert_eq!(gateway.process.wait(), Some(0), "{}", gateway.process.stderr());
    let rows = rows(&gateway.config.db());
    assert_eq!(rows.iter().filter(|row| row.is("tools/call", "hold")).count(), 2);
    assert_eq!(rows.len(), 6, "{rows:#?}");
}

#[test]
fn a_call_that_never_ends_does_not_outlast_the_grace() {
    let upstream = Upstream::plain();
    let mut gateway =
        Gateway::start(Config::new(upstream.addr).set("server.graceful_shutdown", "500ms"));
    let mut client = gateway.client();
    client.send(&hold());
    upstream.wait_for("the call arrives", |message| message["params"]["name"] == "hold");
    let began = now();
    gateway.process.signal(Signal::SIGTERM);
    assert_eq!(gateway.process.wait(), Some(0), "{}", gateway.process.stderr());
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(5), "{took:?}");
    only(&rows(&gateway.config.db()), "tools/call", "hold");
}

#[test]
fn readiness_ends_before_the_gateway_does() {
    let upstream = Upstream::plain();
    let mut gateway =
        Gateway::start(Config::new(upstream.addr).set("server.graceful_shutdown", "10s"));
    let mut client = gateway.client();
    client.send(&hold());
    upstream.wait_for("the call arrives", |message| message["params"]["name"] == "hold");
    gateway.process.signal(Signal::SIGTERM);
    until("the probe says 503 while the call is finished", || gateway.ready() == Some(503));
    upstream.release();
    client.answer_to(&json!("held"));
    assert_eq!(gateway.process.wait(), Some(0));
}

#[test]
fn every_signal_to_stop_ends_it_in_good_order() {
    let upstream = Upstream::plain();
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        let mut gateway = Gateway::start(Config::new(upstream.addr));
        gateway.client().call("echo", serde_json::json!({ "message": "last" }));
        gateway.process.signal(signal);
        assert_eq!(gateway.process.wait(), Some(0), "{signal}");
        assert!(
            gateway.process.stderr().contains("stopping: calls in flight have 30s"),
            "{signal}"
        );
        only(&rows(&gateway.config.db()), "tools/call", "echo");
    }
}

/// A gateway whose server, a child that runs as this process, holds a call for ever.
fn hung() -> (Gateway, Client, i32) {
    let server = Config::of(json!({})).file("server.py", HANGING);
    let script = server.at("server.py").to_str().unwrap().to_owned();
    let pid = server.at("pid");
    let gateway = Gateway::start(
        server
            .set("upstream.command", json!(["python3", "-u", script, pid.to_str().unwrap()]))
            .set("server.graceful_shutdown", "60s"),
    );
    let mut client = gateway.client();
    client.send(&hold());
    let pid = until_some("the call arrives", || std::fs::read_to_string(&pid).ok()?.parse().ok());
    (gateway, client, pid)
}

const HANGING: &str = r#"
import json, os, signal, sys, time
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "child", "version": "1"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
    if message.get("method") == "tools/call":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open(sys.argv[1] + ".new", "w") as file: file.write(str(os.getpid()))
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        time.sleep(600)
"#;

/// Lets the time pass in which another signal is a repeat.
fn after_repeats() {
    std::thread::sleep(Duration::from_millis(1200));
}

#[test]
fn a_second_signal_cuts_the_calls_and_loses_nothing() {
    let (mut gateway, _client, pid) = hung();
    let began = now();
    gateway.process.signal(Signal::SIGTERM);
    until("it stops", || gateway.process.stderr().contains("stopping"));
    gateway.process.signal(Signal::SIGTERM);
    after_repeats();
    let said = gateway.process.stderr();
    assert!(!said.contains("are cut"), "a repeat at once is the same signal: {said}");
    gateway.process.signal(Signal::SIGTERM);
    assert_eq!(gateway.process.wait(), Some(0), "{}", gateway.process.stderr());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(12), "the end took {took:?}");
    assert!(!Path::new("/proc").join(pid.to_string()).exists(), "the child outlived the gateway");
    let rows = rows(&gateway.config.db());
    assert_eq!(only(&rows, "tools/call", "hold").text("error_kind"), "abandoned");
}

#[test]
fn calls_of_either_transport_that_are_cut_have_their_rows() {
    let upstream = Upstream::plain();
    let mut gateway =
        Gateway::start(Config::new(upstream.addr).set("server.graceful_shutdown", "60s"));
    let mut client = gateway.client();
    let old = gateway.legacy_client();
    client.send(&hold());
    assert_eq!(old.post(&hold()).status(), 202);
    until("both calls arrive", || upstream.calls().len() == 2);
    gateway.process.signal(Signal::SIGINT);
    after_repeats();
    gateway.process.signal(Signal::SIGTERM);
    assert_eq!(gateway.process.wait(), Some(0), "{}", gateway.process.stderr());
    let rows = rows(&gateway.config.db());
    assert_eq!(rows.iter().filter(|row| row.is("tools/call", "hold")).count(), 2, "{rows:#?}");
}

#[test]
fn a_third_signal_ends_it_at_once() {
    let (mut gateway, _client, pid) = hung();
    gateway.process.signal(Signal::SIGTERM);
    after_repeats();
    gateway.process.signal(Signal::SIGINT);
    // The child, which heeds nothing but SIGKILL, has four seconds.
    after_repeats();
    gateway.process.signal(Signal::SIGTERM);
    let code = gateway.process.wait();
    // The child was left behind; it may have ended by itself.
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap_or_default();
    assert_eq!(code, Some(2), "{}", gateway.process.stderr());
}

#[test]
fn rows_that_cannot_be_written_are_no_good_end() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    let mut lock = Command::new("python3")
        .args(["-c", LOCK, gateway.config.db().to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut locked = [0; 7];
    lock.stdout.take().unwrap().read_exact(&mut locked).unwrap();
    let _client = gateway.client();
    let finished = gateway.stop();
    lock.kill().unwrap();
    lock.wait().unwrap();
    assert_eq!(finished.code, 2, "{}", finished.stderr);
    assert!(finished.stderr.contains("rows lost of the audit log: 2;"), "{}", finished.stderr);
}

const LOCK: &str = "
import sqlite3, sys
base = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
base.execute('BEGIN IMMEDIATE')
print('locked', flush=True)
sys.stdin.read()
";
