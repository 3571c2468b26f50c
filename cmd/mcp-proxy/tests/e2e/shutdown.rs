//! SIGTERM: what is in flight is finished, streams end, nothing is lost.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::rows::only;
use crate::harness::wait::now;
use crate::harness::{Config, Gateway, Upstream, rows, until};

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
fn sigint_ends_it_too_and_a_second_signal_at_once() {
    let upstream = Upstream::plain();
    let mut gateway = Gateway::start(Config::new(upstream.addr));
    gateway.process.signal(Signal::SIGINT);
    assert_eq!(gateway.process.wait(), Some(0));

    let mut gateway =
        Gateway::start(Config::new(upstream.addr).set("server.graceful_shutdown", "60s"));
    let mut client = gateway.client();
    client.send(&hold());
    upstream.wait_for("the call arrives", |message| message["params"]["name"] == "hold");
    gateway.process.signal(Signal::SIGTERM);
    until("draining", || gateway.ready() != Some(200));
    gateway.process.signal(Signal::SIGTERM);
    assert!(gateway.process.wait().is_some(), "a second SIGTERM did not end it");
}
