//! What counts as the same host or origin.

use super::*;

#[track_caller]
fn host(text: &str, allowed: &str, matches: bool) {
    let allowed = Authority::parse(allowed).unwrap();
    let is = Authority::parse(text).is_some_and(|host| host.matches(&allowed));
    assert_eq!(is, matches, "`{text}` is {is}");
}

#[test]
fn hosts_are_compared_as_what_they_mean() {
    for text in
        ["mcp.example", "MCP.Example", "mcp.example.", "mcp.example:80", "mcp.example.:65535"]
    {
        host(text, "mcp.example", true);
    }
    for text in ["mcp.example.org", "xmcp.example", "mcp.example..", "a.mcp.example", "mcp_example"]
    {
        host(text, "mcp.example", false);
    }
    host("mcp.example:8443", "mcp.example:8443", true);
    host("mcp.example:8444", "mcp.example:8443", false);
    host("mcp.example", "mcp.example:8443", false);
    host("[2001:db8:0:0::1]:3000", "[2001:db8::1]", true);
    host("[2001:db8::2]", "[2001:db8::1]", false);
    host("192.0.2.1:3000", "192.0.2.1", true);
}

#[test]
fn what_is_no_host_matches_nothing() {
    for text in [
        "",
        ".",
        ":3000",
        "user@localhost",
        "localhost:",
        "localhost:x",
        "localhost:+80",
        "localhost:65536",
        "localhost:80:80",
        "local host",
        "localhost/",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]:",
        "[localhost]",
        "127.1",
        "0177.0.0.1",
        "127.0.0.1.1",
        "2130706433",
        "[::1%lo]",
        "a,b",
        "localhost\t",
        "\u{e9}",
    ] {
        assert!(Authority::parse(text).is_none(), "`{text}`");
    }
}

#[test]
fn loopback_is_three_names() {
    for (text, is) in [
        ("localhost", true),
        ("LOCALHOST:3000", true),
        ("localhost.", true),
        ("127.0.0.1", true),
        ("127.0.0.1:80", true),
        ("[::1]", true),
        ("[0:0:0:0:0:0:0:1]:3000", true),
        ("127.0.0.2", false),
        ("0.0.0.0", false),
        ("[::]", false),
        ("[::ffff:127.0.0.1]", false),
        ("localhost.example", false),
        ("127.0.0.1.example", false),
    ] {
        assert_eq!(Authority::parse(text).unwrap().is_loopback(), is, "{text}");
    }
}

#[test]
fn origins_have_scheme_host_and_port() {
    let same = |one, other| Origin::parse(one).unwrap() == Origin::parse(other).unwrap();
    assert!(same("https://a.example", "HTTPS://A.example:443"));
    assert!(same("http://a.example:80", "http://a.example"));
    assert!(same("vscode-webview://abc", "vscode-webview://abc"));
    assert!(!same("https://a.example", "http://a.example"));
    assert!(!same("https://a.example:8443", "https://a.example"));
    for text in [
        "null",
        "",
        "a.example",
        "://a",
        "https://",
        "https://a/",
        "https://a b",
        "1x://a",
        "https://u@a",
    ] {
        assert!(Origin::parse(text).is_none(), "`{text}`");
    }
    for (text, is) in [
        ("http://localhost:5173", true),
        ("https://[::1]", true),
        ("http://127.0.0.1", true),
        ("ftp://localhost", false),
        ("http://localhost.example", false),
    ] {
        assert_eq!(Origin::parse(text).unwrap().is_loopback(), is, "{text}");
    }
}
