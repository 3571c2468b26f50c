use super::*;

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    let error = Target::parse(text).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn urls_that_cannot_be_used_are_refused_without_repeating_them() {
    check_refused("your-mcp-server", "is not a URL");
    check_refused("ftp://localhost/mcp", "scheme `ftp`");
    check_refused("http://me:hunter2@localhost/mcp", "user or a password");
    check_refused("http://", "is not a URL");
}

#[track_caller]
fn check_resolved(base: &str, reference: &str, expected: Option<&str>) {
    let resolved = Target::parse(base).unwrap().resolve(reference);
    assert_eq!(resolved.map(|target| target.uri().to_string()).as_deref(), expected);
}

#[test]
fn an_endpoint_is_a_reference_within_the_origin() {
    let sse = "http://localhost:8080/sse?key=1";
    check_resolved(
        sse,
        "/messages?sessionId=7",
        Some("http://localhost:8080/messages?sessionId=7"),
    );
    check_resolved(sse, "messages", Some("http://localhost:8080/messages"));
    check_resolved(sse, "?a=b", Some("http://localhost:8080/sse?a=b"));
    check_resolved(sse, "http://localhost:8080/m", Some("http://localhost:8080/m"));
    check_resolved(sse, "http://localhost:8081/m", None);
    check_resolved(sse, "https://localhost:8080/m", None);
    check_resolved(sse, "//evil.example/m", None);
    check_resolved(sse, "http://user@localhost:8080/m", None);
}

#[test]
fn the_shown_address_has_no_query() {
    let target = Target::parse("https://mcp.example/a?token=hunter2#x").unwrap();
    assert_eq!(target.shown(), "https://mcp.example/a");
    assert_eq!(target.uri(), "https://mcp.example/a?token=hunter2");
    assert_eq!(target.host_and_port(), Some(("mcp.example".to_owned(), 443)));
}

#[test]
fn a_websocket_begins_as_http() {
    for (text, http) in [
        ("ws://h:8080/ws?a=ws", "http://h:8080/ws?a=ws"),
        ("wss://ws.example/", "https://ws.example/"),
        ("http://h/", "http://h/"),
    ] {
        let target = Target::parse(text).unwrap();
        assert_eq!(
            (target.uri().to_string().as_str(), target.http_uri()),
            (text, &http.parse().unwrap())
        );
        assert_eq!(target.is_websocket(), text.starts_with("ws"), "{text}");
    }
}

#[test]
fn only_an_address_without_path_is_bare() {
    for (text, bare) in [("http://h", true), ("http://h/", true), ("http://h/mcp", false)] {
        assert_eq!(Target::parse(text).unwrap().is_bare(), bare, "{text}");
    }
}
