use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use domain::BoxFuture;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{PolicyControl, Reloaded, routes};

/// Gives the answers it was told, and counts.
#[derive(Default)]
pub(crate) struct Answers {
    reload: Mutex<Option<Reloaded>>,
    reloads: AtomicUsize,
}

impl PolicyControl for Answers {
    fn status(&self) -> Value {
        json!({"revision": "r1"})
    }

    fn reload(&self) -> BoxFuture<'_, Reloaded> {
        self.reloads.fetch_add(1, Ordering::Relaxed);
        let answer = self.reload.lock().unwrap().clone();
        Box::pin(async move { answer.unwrap_or_else(|| Reloaded::Done(json!({"result": "ok"}))) })
    }
}

/// Sends one request and expects a status, a part of the body, and whether the policy was loaded again.
#[track_caller]
fn check_answer(policy: Answers, request: Request<Body>, status: u16, part: &str, reloads: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let policy = Arc::new(policy);
    let control: Arc<dyn PolicyControl> = policy.clone();
    let (got, body) = runtime.block_on(async {
        let response = routes(&control).oneshot(request).await.unwrap();
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    });
    let body = String::from_utf8_lossy(&body);
    assert_eq!(got, StatusCode::from_u16(status).unwrap(), "{body}");
    assert!(body.contains(part), "{part} is not in {body}");
    assert_eq!(policy.reloads.load(Ordering::Relaxed), reloads);
}

/// A `POST` that is served, with other headers or another body.
#[track_caller]
fn check_post(headers: &[(&str, &str)], body: &'static str, status: u16, part: &str) {
    let mut request = Request::post("/api/v1/policy/reload");
    let usual = [("host", "127.0.0.1:8081"), ("content-type", "application/json")];
    let named = |name| headers.iter().any(|(other, _)| *other == name);
    for (name, value) in usual.iter().filter(|(name, _)| !named(*name)).chain(headers) {
        if !value.is_empty() {
            request = request.header(*name, *value);
        }
    }
    let request = request.body(Body::from(body)).unwrap();
    check_answer(Answers::default(), request, status, part, usize::from(status == 200));
}

#[test]
fn operators_see_the_policy_and_load_it_again() {
    let get = Request::get("/api/v1/policy").header("host", "localhost:8081");
    let get = get.body(Body::empty()).unwrap();
    check_answer(Answers::default(), get, 200, r#"{"revision":"r1"}"#, 0);
    check_post(&[], "", 200, r#"{"result":"ok"}"#);
    check_post(&[("content-type", "application/json; charset=utf-8")], " {} ", 200, "ok");
}

#[test]
fn what_became_of_a_reload_is_a_status() {
    for (outcome, status, part) in [
        (Reloaded::Done(json!({"result": "held"})), 200, "held"),
        (Reloaded::Refused(json!({"error": "a.rego:1"})), 422, "a.rego:1"),
        (Reloaded::Unavailable, 503, "busy"),
    ] {
        let policy = Answers { reload: Mutex::new(Some(outcome)), ..Answers::default() };
        let post = Request::post("/api/v1/policy/reload")
            .header("host", "[::1]:8081")
            .header("content-type", "application/json");
        check_answer(policy, post.body(Body::empty()).unwrap(), status, part, 1);
    }
}

#[test]
fn a_web_page_changes_nothing() {
    for origin in ["http://evil.example", "http://127.0.0.1:8081", "null"] {
        check_post(&[("origin", origin)], "", 403, "Origin");
    }
    for kind in
        ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        check_post(&[("content-type", kind)], "", 415, "Content-Type");
    }
    for host in
        ["", "evil.example", "evil.example:8081", "127.0.0.1.evil.example", "192.0.2.1", "0.0.0.0"]
    {
        check_post(&[("host", host)], "", 403, "Host");
    }
    check_post(&[("host", "localhost"), ("host", "evil.example")], "", 403, "Host");
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:8081", "[::1]", "[::1]:8081"] {
        check_post(&[("host", host)], "", 200, "ok");
    }
}

#[test]
fn a_body_that_says_something_is_refused() {
    for body in ["{\"force\": true}", "[]", "null", "x", "{"] {
        check_post(&[], body, 400, "must be `{}`");
    }
}
