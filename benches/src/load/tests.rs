use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::*;
use crate::fake_upstream::{Behaviour, Era};
use crate::idle::Held;
use crate::listeners::Listeners;
use crate::{bind, fake_upstream, passthrough};

const CALLS: u64 = 300;

fn listener() -> (TcpListener, SocketAddr) {
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Starts a fake upstream and a pass-through before it; both serve until the test process ends.
fn passthrough_to(behaviour: Behaviour) -> SocketAddr {
    let (upstream, upstream_address) = listener();
    let (floor, floor_address) = listener();
    std::thread::spawn(move || fake_upstream::serve(upstream, behaviour));
    let upstream = upstream_address.to_string().parse().unwrap();
    std::thread::spawn(move || passthrough::serve(floor, upstream));
    floor_address
}

fn plan(address: SocketAddr, transport: Transport, progress: usize) -> Plan {
    Plan {
        url: format!("http://{address}{}", transport.path()).parse().unwrap(),
        transport,
        conns: 4,
        stop: Stop::Calls(CALLS),
        pace: None,
        warmup: Duration::from_millis(1),
        argument: 200,
        progress,
        pids: vec![("own".to_owned(), i32::try_from(std::process::id()).unwrap())],
    }
}

#[track_caller]
fn check_right(behaviour: Behaviour, transport: Transport, progress: usize) {
    let report = run(&plan(passthrough_to(behaviour), transport, progress)).unwrap();
    assert_eq!((report.errors, &report.first_error), (0, &None), "{behaviour:?}");
    assert_eq!(report.requests, CALLS);
    assert!(report.sent >= CALLS);
    assert!(report.rps > 0.0 && report.p50_us > 0.0 && report.p99_us >= report.p50_us);
    assert!(report.cpu_us_per_request["own"] > 0.0);
}

#[test]
fn right_answers_pass_in_every_way_of_answering() {
    let plain = Behaviour::default();
    check_right(plain, Transport::Http, 0);
    check_right(Behaviour { stateless: true, ..plain }, Transport::Http, 0);
    check_right(Behaviour { sse: true, ..plain }, Transport::Http, 0);
    check_right(Behaviour { stream: 3, ..plain }, Transport::Http, 3);
    check_right(plain, Transport::Sse, 0);
    check_right(Behaviour { stream: 3, ..plain }, Transport::Sse, 3);
    check_right(plain, Transport::Stateless, 0);
    check_right(Behaviour { stream: 3, era: Era::Modern, ..plain }, Transport::Stateless, 3);
}

#[track_caller]
fn check_wrong(address: SocketAddr, transport: Transport, progress: usize, want: &str) {
    let report = run(&plan(address, transport, progress)).unwrap();
    let first = report.first_error.unwrap_or_default();
    assert!(report.errors > 0 && first.contains(want), "{} errors: {first}", report.errors);
}

#[test]
fn wrong_and_missing_answers_are_errors() {
    let crossing = Behaviour { cross_every: 50, ..Behaviour::default() };
    check_wrong(passthrough_to(crossing), Transport::Http, 0, "asked to echo");
    check_wrong(passthrough_to(crossing), Transport::Sse, 0, "asked to echo");
    let modern = Behaviour { era: Era::Modern, ..Behaviour::default() };
    check_wrong(passthrough_to(modern), Transport::Http, 0, "-32022");
    let legacy = Behaviour { era: Era::Legacy, ..Behaviour::default() };
    check_wrong(passthrough_to(legacy), Transport::Stateless, 0, "-32000");
    let two = Behaviour { stream: 2, ..Behaviour::default() };
    check_wrong(passthrough_to(two), Transport::Http, 3, "2 progress events instead of 3");
    let (closed, address) = listener();
    drop(closed);
    check_wrong(address, Transport::Http, 0, "could not connect");
}

#[test]
fn who_listens_hears_every_update_of_its_own_resource() {
    let telling = Behaviour { update_every: 3, ..Behaviour::default() };
    let plan = plan(passthrough_to(telling), Transport::Stateless, 0);
    let listeners = Listeners::open(&plan.url, 2).unwrap();
    let report = run(&plan).unwrap();
    assert_eq!(report.errors, 0, "{:?}", report.first_error);
    assert_eq!(listeners.wait(report.sent / 3, Duration::from_secs(5)), report.sent / 3);
}

#[test]
fn idle_streams_stay_open_while_the_server_does() {
    let open = Behaviour { get_stream: true, ..Behaviour::default() };
    let url = plan(passthrough_to(open), Transport::Http, 0).url;
    let held = Held::open(&url, 20).unwrap();
    assert_eq!(held.lost(), 0);
    assert!(crate::resident(i32::try_from(std::process::id()).unwrap()).unwrap() > 0);
    let closed = plan(passthrough_to(Behaviour::default()), Transport::Http, 0).url;
    assert!(Held::open(&closed, 1).is_err(), "a server without the stream has none to hold");
}

#[test]
fn crossed_answers_are_counted_one_by_one() {
    let crossing = Behaviour { cross_every: 50, ..Behaviour::default() };
    let plan =
        Plan { warmup: Duration::ZERO, ..plan(passthrough_to(crossing), Transport::Http, 0) };
    let report = run(&plan).unwrap();
    assert_eq!((report.sent, report.errors), (CALLS, CALLS / 50));
    assert_eq!(report.requests, CALLS - CALLS / 50);
}
