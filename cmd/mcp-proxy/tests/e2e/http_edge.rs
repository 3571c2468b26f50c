//! The edge: what is refused before it is a message.

use std::io::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::harness::http::Response;
use crate::harness::wait::now;
use crate::harness::{Config, Conn, Gateway, Upstream, initialize_params, until};

/// Method, path, headers, and the statuses that are right.
type Refusal =
    (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static [u16]);

const JSON: (&str, &str) = ("Content-Type", "application/json");
const BOTH: (&str, &str) = ("Accept", "application/json, text/event-stream");

fn initialize() -> Vec<u8> {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize_params() })
        .to_string()
        .into_bytes()
}

fn start() -> (Upstream, Gateway) {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr));
    (upstream, gateway)
}

#[track_caller]
fn ask(
    gateway: &Gateway,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    Conn::open(gateway.addr()).request(method, path, headers, body)
}

#[test]
fn host_and_origin_are_checked() {
    let (upstream, gateway) = start();
    let port = gateway.config.port;
    let own = |host: &str| format!("{host}:{port}");
    let (local, ip, six, own_upper) =
        (own("localhost"), own("127.0.0.1"), own("[::1]"), own("LOCALHOST"));
    let (web_local, web_ip) = (format!("http://{local}"), format!("http://{ip}"));
    let cases = [
        (ip.as_str(), None, 200),
        (local.as_str(), None, 200),
        (six.as_str(), None, 200),
        (own_upper.as_str(), None, 200),
        (local.as_str(), Some(web_local.as_str()), 200),
        (ip.as_str(), Some(web_ip.as_str()), 200),
        ("evil.example", None, 403),
        ("evil.example:3000", None, 403),
        ("127.0.0.1.evil.example", None, 403),
        ("localhost.evil.example", None, 403),
        (ip.as_str(), Some("http://evil.example"), 403),
        (ip.as_str(), Some("null"), 403),
        (ip.as_str(), Some("http://localhost.evil.example"), 403),
        (ip.as_str(), Some("https://evil.example:443"), 403),
        ("evil.example", Some(web_local.as_str()), 403),
    ];
    for (host, origin, wanted) in cases {
        let mut headers = vec![("Host", host), JSON, BOTH];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        let before = upstream.messages().len();
        let answer = ask(&gateway, "POST", "/mcp", &headers, &initialize());
        assert_eq!(answer.status(), wanted, "Host {host} Origin {origin:?}: {}", answer.text());
        if wanted == 403 {
            assert_eq!(
                upstream.messages().len(),
                before,
                "Host {host} Origin {origin:?} was forwarded"
            );
            for path in ["/mcp", "/sse"] {
                let listen = [("Host", host), ("Accept", "text/event-stream")];
                let mut listen = listen.to_vec();
                listen.extend(origin.map(|origin| ("Origin", origin)));
                assert_eq!(
                    ask(&gateway, "GET", path, &listen, b"").status(),
                    403,
                    "GET {path} {host} {origin:?}"
                );
            }
        }
    }
    let twice = format!(
        "POST /mcp HTTP/1.1\r\nHost: {ip}\r\nHost: evil.example\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n"
    );
    let mut conn = Conn::open(gateway.addr());
    conn.write(twice.as_bytes()).unwrap();
    assert!(matches!(conn.read_response().unwrap().status(), 400 | 403));
    let none = "POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n";
    let mut conn = Conn::open(gateway.addr());
    conn.write(none.as_bytes()).unwrap();
    assert!(matches!(conn.read_response().unwrap().status(), 400 | 403));
}

#[test]
fn allowed_hosts_and_origins_widen_the_check() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr)
        .set("server.security.allowed_hosts", json!(["gateway.example"]))
        .set("server.security.allowed_origins", json!(["https://app.example"]));
    let gateway = Gateway::start(config);
    let answer = ask(
        &gateway,
        "POST",
        "/mcp",
        &[("Host", "gateway.example"), ("Origin", "https://app.example"), JSON, BOTH],
        &initialize(),
    );
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let other = ask(
        &gateway,
        "POST",
        "/mcp",
        &[("Host", "gateway.example"), ("Origin", "https://other.example"), JSON, BOTH],
        &initialize(),
    );
    assert_eq!(other.status(), 403);
}

#[test]
fn paths_methods_and_media_types_are_checked() {
    let (upstream, gateway) = start();
    let before = upstream.messages().len();
    let cases: &[Refusal] = &[
        ("GET", "/", &[], &[404]),
        ("GET", "/nowhere", &[], &[404]),
        ("POST", "/nowhere", &[JSON, BOTH], &[404]),
        ("GET", "/metrics", &[], &[404]),
        ("GET", "/health", &[], &[404]),
        ("GET", "/favicon.ico", &[("Accept", "text/event-stream")], &[404]),
        ("POST", "//mcp", &[JSON, BOTH], &[404, 400]),
        ("POST", "/mcp/../metrics", &[JSON, BOTH], &[404, 400]),
        ("GET", "/mcp/..;/metrics", &[], &[404, 400]),
        ("PUT", "/mcp", &[JSON, BOTH], &[405]),
        ("PATCH", "/mcp", &[JSON, BOTH], &[405]),
        ("TRACE", "/mcp", &[], &[405]),
        ("POST", "/sse", &[JSON], &[404, 405]),
        ("DELETE", "/sse", &[], &[405]),
        ("GET", "/message", &[], &[405]),
        ("POST", "/mcp", &[("Content-Type", "text/plain"), BOTH], &[415]),
        ("POST", "/mcp", &[BOTH], &[415]),
        ("POST", "/mcp", &[("Content-Type", "application/jsonx"), BOTH], &[415]),
        ("POST", "/mcp", &[("Content-Type", "application/x-www-form-urlencoded"), BOTH], &[415]),
        ("POST", "/mcp", &[JSON, BOTH, ("Content-Encoding", "gzip")], &[415]),
        ("POST", "/mcp", &[JSON, ("Accept", "text/html")], &[406]),
        ("GET", "/mcp", &[("Accept", "application/json")], &[406, 405]),
        ("POST", "/message", &[JSON], &[400]),
        ("POST", "/message?sessionId=nobody", &[JSON], &[404]),
    ];
    for (method, path, headers, wanted) in cases {
        let body = if *method == "POST" { initialize() } else { Vec::new() };
        let answer = ask(&gateway, method, path, headers, &body);
        assert!(
            wanted.contains(&answer.status()),
            "{method} {path} {headers:?}: {} {}",
            answer.status(),
            answer.text()
        );
        if answer.status() == 405 {
            assert!(
                answer.head.header("allow").is_some(),
                "{method} {path}: a 405 names what is allowed"
            );
        }
    }
    assert_eq!(upstream.messages().len(), before);
    let spelled = [("Content-Type", "Application/JSON; charset=utf-8"), ("Accept", "*/*")];
    assert_eq!(ask(&gateway, "POST", "/mcp", &spelled, &initialize()).status(), 200);
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr).set("server.limits.max_body_bytes", 2_000);
    let gateway = Gateway::start(config);
    let before = upstream.bytes();
    let mut client = gateway.client();
    let message = |size: usize| {
        let mut body = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_vec();
        body.resize(size, b' ');
        body
    };
    assert_eq!(client.post_raw(&message(2_000)).status(), 200);
    assert_eq!(client.post_raw(&message(2_001)).status(), 413);
    let announced = [JSON, BOTH, ("Content-Length", "100000000000")];
    assert_eq!(
        ask(&gateway, "POST", "/mcp", &announced, b"").status(),
        413,
        "refused by its announced length"
    );
    let mut conn = Conn::open(gateway.addr());
    conn.send("POST", "/mcp", &[JSON, BOTH, ("Transfer-Encoding", "chunked")], b"").unwrap();
    let mut sent = 0;
    while sent < 10_000_000
        && conn.write(format!("400\r\n{}\r\n", " ".repeat(1024)).as_bytes()).is_ok()
    {
        sent += 1024;
    }
    assert!(
        sent < 10_000_000 || conn.read_head().is_ok_and(|head| head.status() == 413),
        "an endless body was swallowed"
    );
    assert_ne!(upstream.bytes(), before, "the handshake went through");
}

#[test]
fn headers_over_the_limits_are_refused() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr)
        .set("server.limits.max_header_bytes", 16_384)
        .set("server.limits.max_headers", 30);
    let gateway = Gateway::start(config);
    let big = "x".repeat(20_000);
    let answer = ask(&gateway, "POST", "/mcp", &[JSON, BOTH, ("X-Big", &big)], &initialize());
    assert!(matches!(answer.status(), 400 | 431), "{}", answer.status());
    let names: Vec<String> = (0..40).map(|number| format!("X-Many-{number}")).collect();
    let mut headers = vec![JSON, BOTH];
    headers.extend(names.iter().map(|name| (name.as_str(), "1")));
    let answer = ask(&gateway, "POST", "/mcp", &headers, &initialize());
    assert!(matches!(answer.status(), 400 | 431), "{}", answer.status());
    assert_eq!(ask(&gateway, "POST", "/mcp", &headers[..20], &initialize()).status(), 200);
}

#[test]
fn requests_that_two_parsers_read_differently_are_refused() {
    let (upstream, gateway) = start();
    let before = upstream.messages().len();
    let host =
        format!("Host: 127.0.0.1:{}\r\nContent-Type: application/json\r\n", gateway.config.port);
    for (name, tail) in [
        ("two lengths", "Content-Length: 4\r\nContent-Length: 40\r\n\r\n{}  "),
        ("length and chunks", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("unknown coding", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("folded header", "X-A: 1\r\n b\r\nContent-Length: 2\r\n\r\n{}"),
        ("space before colon", "X-A : 1\r\nContent-Length: 2\r\n\r\n{}"),
        ("NUL in a header", "X-A: a\0b\r\nContent-Length: 2\r\n\r\n{}"),
    ] {
        let mut conn = Conn::open(gateway.addr());
        conn.write(format!("POST /mcp HTTP/1.1\r\n{host}{tail}").as_bytes()).unwrap();
        let status = conn.read_head().map_or(0, |head| head.status());
        assert!(matches!(status, 0 | 400..=499), "{name}: {status}");
    }
    assert_eq!(upstream.messages().len(), before);
}

#[test]
fn slow_headers_do_not_hold_a_connection() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("server.header_timeout", "300ms"));
    let mut slow = Conn::open(gateway.addr());
    let began = now();
    slow.write(b"POST /mcp HTTP/1.1\r\nHost: 127").unwrap();
    // The gateway hangs up by itself: with 408, or without a word.
    let status = slow.read_head().map_or(0, |head| head.status());
    assert!(matches!(status, 0 | 408), "{status}");
    assert!((300..6_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    gateway.client();
}

#[test]
fn a_slow_body_does_not_hold_a_connection() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("server.read_timeout", "400ms"));
    let mut slow = Conn::open(gateway.addr());
    let began = now();
    slow.send("POST", "/mcp", &[JSON, BOTH, ("Content-Length", "100")], b"{").unwrap();
    let status = slow.read_head().map_or(0, |head| head.status());
    assert!(matches!(status, 0 | 408 | 400), "{status}");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

#[test]
fn an_idle_connection_is_closed_but_a_stream_is_not() {
    let upstream = Upstream::plain();
    let config = Config::new(upstream.addr)
        .set("server.idle_timeout", "400ms")
        .set("server.read_timeout", "400ms")
        .set("server.write_timeout", "400ms")
        .set("server.header_timeout", "400ms")
        .set("upstream.timeout", "1s");
    let gateway = Gateway::start(config);
    let client = gateway.client();
    let mut stream = client.listen();
    let mut old = gateway.legacy_client();
    let mut idle = Conn::open(gateway.addr());
    assert_eq!(idle.request("GET", "/nowhere", &[], b"").status(), 404);
    let began = now();
    assert!(idle.read_head().is_err(), "the idle connection is still open");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    until("well past every time-out", || began.elapsed() > Duration::from_millis(1_500));
    upstream.push(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }));
    assert_eq!(stream.next_message()["method"], "notifications/tools/list_changed");
    assert_eq!(
        old.call("echo", json!({ "message": "still" }))["result"]["content"][0]["text"],
        "still"
    );
}

#[test]
fn connections_over_the_limit_wait_or_are_refused() {
    let upstream = Upstream::plain();
    let gateway = Gateway::start(Config::new(upstream.addr).set("server.max_connections", 4));
    let held: Vec<_> = (0..4)
        .map(|_| {
            let mut conn = Conn::open(gateway.addr());
            assert_eq!(conn.request("GET", "/nowhere", &[], b"").status(), 404);
            conn
        })
        .collect();
    let mut fifth = Conn::open(gateway.addr());
    fifth.patience(Some(Duration::from_millis(500)));
    let served = fifth
        .send("GET", "/nowhere", &[], b"")
        .and_then(|()| fifth.read_head())
        .map_or(0, |head| head.status());
    assert!(matches!(served, 0 | 503), "a fifth connection was served: {served}");
    drop((held, fifth));
    until("a place is free again", || {
        let mut conn = Conn::open(gateway.addr());
        conn.patience(Some(Duration::from_millis(500)));
        conn.send("GET", "/nowhere", &[], b"")
            .and_then(|()| conn.read_head())
            .is_ok_and(|head| head.status() == 404)
    });
}

#[test]
fn security_headers_are_on_and_can_be_switched_off() {
    for (enabled, wanted) in [(true, Some("nosniff")), (false, None)] {
        let upstream = Upstream::plain();
        let config =
            Config::new(upstream.addr).set("server.security.enable_security_headers", enabled);
        let gateway = Gateway::start(config);
        let answer = ask(&gateway, "POST", "/mcp", &[JSON, BOTH], &initialize());
        assert_eq!(answer.head.header("x-content-type-options"), wanted, "{:?}", answer.head);
    }
}

#[test]
fn each_transport_can_be_served_alone() {
    for (transport, mcp, sse) in [("all", true, true), ("http", true, false), ("sse", false, true)]
    {
        let upstream = Upstream::plain();
        let gateway = Gateway::start(Config::new(upstream.addr).set("server.transport", transport));
        let posted = ask(&gateway, "POST", "/mcp", &[JSON, BOTH], &initialize()).status();
        assert_eq!(posted, if mcp { 200 } else { 404 }, "{transport}");
        let mut conn = Conn::open(gateway.addr());
        conn.send("GET", "/sse", &[("Accept", "text/event-stream")], b"").unwrap();
        assert_eq!(conn.read_head().unwrap().status(), if sse { 200 } else { 404 }, "{transport}");
    }
}

#[test]
fn only_the_configured_address_is_bound() {
    let (_upstream, gateway) = start();
    let other = std::net::SocketAddr::from(([127, 0, 0, 2], gateway.config.port));
    assert!(std::net::TcpStream::connect(other).is_err(), "127.0.0.2 answers too");
}

#[test]
fn garbage_does_not_disturb_other_clients() {
    let (_upstream, gateway) = start();
    let mut client = gateway.client();
    for garbage in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"GET\r\n\r\n",
        &[b'A'; 100_000],
    ] {
        let conn = Conn::open(gateway.addr());
        // The gateway may hang up while this is being written.
        drop((&mut conn.stream()).write_all(garbage));
        conn.close();
        assert_eq!(client.call_text("echo", json!({ "message": "m" })), "m");
    }
}

/// Kind of error, headers and body of a request that is refused.
type Unread<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8]);

#[test]
fn what_is_refused_at_the_edge_leaves_a_row_too() {
    let upstream = Upstream::plain();
    let gateway =
        Gateway::start(Config::new(upstream.addr).set("server.limits.max_body_bytes", 1_000));
    let large = vec![b' '; 1_001];
    let unknown = ("Mcp-Session-Id", "11111111-2222-4333-8444-555555555555");
    let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let cases: &[Unread<'_>] = &[
        ("forbidden", &[("Host", "evil.example"), JSON, BOTH], ping),
        ("forbidden", &[("Origin", "http://evil.example"), JSON, BOTH], ping),
        ("bad_transport", &[("Content-Type", "text/plain"), BOTH], ping),
        ("bad_transport", &[JSON, ("Accept", "text/html")], ping),
        ("too_large", &[JSON, BOTH], &large),
        ("session_not_found", &[JSON, BOTH, unknown], ping),
        ("parse_error", &[JSON, BOTH, unknown], b"{"),
    ];
    for (_, headers, body) in cases {
        let answer = ask(&gateway, "POST", "/mcp", headers, body);
        assert!((400..500).contains(&answer.status()), "{headers:?}: {}", answer.status());
    }
    let rows = gateway.finish();
    let kinds: Vec<&str> = rows.iter().map(|row| row.text("error_kind")).collect();
    let wanted: Vec<&str> = cases.iter().map(|(kind, _, _)| *kind).collect();
    assert_eq!(kinds, wanted, "{rows:#?}");
}
