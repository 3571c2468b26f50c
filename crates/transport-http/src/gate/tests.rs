//! Who is let in, by configuration.

use http::{Request, StatusCode};

use super::*;

fn gate(address: &str) -> Gate {
    let security = Security {
        allowed_hosts: vec!["mcp.example".into(), "other.example:8443".into()],
        allowed_origins: vec!["https://app.example".into()],
        ..Security::default()
    };
    Gate::new(&security, address)
}

#[track_caller]
fn check(address: &str, headers: &[(&HeaderName, &str)], status: Option<StatusCode>) {
    let mut request = Request::builder().uri("/mcp");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let refused = gate(address).check(&parts).err().map(|refusal| refusal.status);
    assert_eq!(refused, status, "{headers:?}");
}

#[test]
fn hosts() {
    const FORBIDDEN: Option<StatusCode> = Some(StatusCode::FORBIDDEN);
    for (host, status) in [
        ("localhost", None),
        ("LOCALHOST:1", None),
        ("127.0.0.1:3000", None),
        ("[::1]:3000", None),
        ("192.0.2.7:3000", None),
        ("Mcp.Example.:99", None),
        ("other.example:8443", None),
        ("other.example", FORBIDDEN),
        ("192.0.2.8", FORBIDDEN),
        ("evil.example", FORBIDDEN),
        ("localhost.evil.example", FORBIDDEN),
        ("user@localhost", FORBIDDEN),
        ("", FORBIDDEN),
    ] {
        check("192.0.2.7", &[(&HOST, host)], status);
    }
    check("2001:db8::7", &[(&HOST, "[2001:db8:0::7]:3000")], None);
    check("gateway.internal", &[(&HOST, "gateway.internal:3000")], None);
    for wildcard in ["0.0.0.0", "::"] {
        check(wildcard, &[(&HOST, "0.0.0.0:3000")], FORBIDDEN);
        check(wildcard, &[(&HOST, "[::]:3000")], FORBIDDEN);
    }
    check("127.0.0.1", &[], Some(StatusCode::BAD_REQUEST));
    check(
        "127.0.0.1",
        &[(&HOST, "localhost"), (&HOST, "localhost")],
        Some(StatusCode::BAD_REQUEST),
    );
}

#[test]
fn origins() {
    const FORBIDDEN: Option<StatusCode> = Some(StatusCode::FORBIDDEN);
    for (origin, status) in [
        ("http://localhost:5173", None),
        ("https://APP.example:443", None),
        ("http://app.example", FORBIDDEN),
        ("https://app.example.evil", FORBIDDEN),
        ("null", FORBIDDEN),
        ("", FORBIDDEN),
        ("https://app.example https://evil.example", FORBIDDEN),
    ] {
        check("127.0.0.1", &[(&HOST, "localhost"), (&ORIGIN, origin)], status);
    }
    let twice =
        [(&HOST, "localhost"), (&ORIGIN, "http://localhost"), (&ORIGIN, "https://evil.example")];
    check("127.0.0.1", &twice, Some(StatusCode::BAD_REQUEST));
}

#[test]
fn the_message_names_the_key_and_not_the_whole_header() {
    let gate = gate("127.0.0.1");
    let refusal = gate.check_host(&"x".repeat(10_000)).unwrap_err();
    assert!(refusal.failure.message.contains("`server.security.allowed_hosts`"));
    assert!(refusal.failure.message.len() < 300);
    let refusal = gate.check_origin("https://evil.example").unwrap_err();
    assert!(refusal.failure.message.contains("`https://evil.example`"));
    assert!(refusal.failure.message.contains("`server.security.allowed_origins`"));
}
