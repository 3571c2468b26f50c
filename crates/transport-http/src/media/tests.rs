//! What `Accept` and `Content-Type` mean.

use http::HeaderValue;

use super::*;

#[track_caller]
fn check(accept: &[&'static str], json: bool, events: bool) {
    let mut headers = HeaderMap::new();
    for value in accept {
        headers.append(ACCEPT, HeaderValue::from_static(value));
    }
    assert_eq!(accepts(&headers, JSON), json, "{accept:?}");
    assert_eq!(accepts(&headers, EVENTS), events, "{accept:?}");
}

#[test]
fn accept() {
    check(&[], true, true);
    check(&["application/json, text/event-stream"], true, true);
    check(&["application/json", "text/event-stream"], true, true);
    check(&["Application/JSON;q=0.9,Text/Event-Stream;charset=utf-8"], true, true);
    check(&["*/*"], true, true);
    check(&["text/html, */*;q=0.1"], true, true);
    check(&["application/*"], true, false);
    check(&["text/*"], false, true);
    check(&["application/json"], true, false);
    check(&["text/event-stream"], false, true);
    check(&["application/json;q=0, text/event-stream; q = 0.000"], false, false);
    check(&["application/jsonp, text/event-streams"], false, false);
    check(&[""], false, false);
    check(&[",;,"], false, false);
}

#[test]
fn content_type() {
    for (text, is) in [
        ("application/json", true),
        ("Application/JSON", true),
        ("application/json ;x", true),
        ("application/json; charset=UTF-8", true),
        ("application/json;charset=\"utf-8\"", true),
        ("application/json; charset=utf-16", false),
        ("application/jsonp", false),
        ("application/json, text/plain", false),
        ("text/json", false),
        ("", false),
    ] {
        assert_eq!(is_json(text), is, "{text}");
    }
}
