use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;

/// A demo server on a port of its own, and its address.
async fn listen() -> (hyper::Uri, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let server = ::demo::Server::new(folder.path().join("demo")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(::demo::serve_http(server, listener));
    (url.parse().unwrap(), folder)
}

#[track_caller]
fn check_value(text: &str, value: Value) {
    assert_eq!(key_value(text), Ok(("k".to_owned(), value)));
}

#[test]
fn values_are_json_or_else_text() {
    check_value("k=3", json!(3));
    check_value("k=-1.5", json!(-1.5));
    check_value("k=9007199254740993", json!(9_007_199_254_740_993_u64));
    check_value("k=true", json!(true));
    check_value("k=null", Value::Null);
    check_value("k=\"3\"", json!("3"));
    check_value("k=[1, \"a\"]", json!([1, "a"]));
    check_value("k={\"a\": {\"b\": 1}}", json!({ "a": { "b": 1 } }));
    check_value("k=welcome.txt", json!("welcome.txt"));
    check_value("k=/etc/passwd", json!("/etc/passwd"));
    check_value("k=", json!(""));
    check_value("k=a=b", json!("a=b"));
    check_value("k=3 apples", json!("3 apples"));
    check_value("k={broken", json!("{broken"));
    check_value("k=True", json!("True"));
}

#[test]
fn an_argument_without_a_key_is_refused() {
    for text in ["", "path", "=value", "="] {
        assert_eq!(key_value(text), Err("write it as `key=value`".to_owned()), "{text}");
    }
}

#[track_caller]
fn check_request(what: &str, arguments: &[&str], method: &str, params: Value) {
    let arguments = arguments.iter().map(|text| key_value(text).unwrap()).collect();
    assert_eq!(request(what.to_owned(), arguments), (method.to_owned(), params));
}

#[test]
fn a_name_is_a_method_or_a_tool() {
    check_request("tools/list", &[], "tools/list", json!({}));
    check_request("ping", &[], "ping", json!({}));
    check_request(
        "resources/read",
        &["uri=demo://a"],
        "resources/read",
        json!({ "uri": "demo://a" }),
    );
    let params = json!({ "name": "read_file", "arguments": { "path": "a", "limit": 3 } });
    check_request("read_file", &["path=a", "limit=3"], "tools/call", params);
    check_request(
        "list_files",
        &[],
        "tools/call",
        json!({ "name": "list_files", "arguments": {} }),
    );
}

#[tokio::test]
async fn json_and_streamed_answers_are_read() {
    let (url, _folder) = listen().await;
    let list = ask(url.clone(), "tools/list", &json!({})).await.unwrap();
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 9);
    let params =
        json!({ "name": "count", "arguments": { "to": 3 }, "_meta": { "progressToken": 1 } });
    let counted = ask(url, "tools/call", &params).await.unwrap();
    assert_eq!(counted["result"]["content"][0]["text"], "counted to 3");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    drop(listener);
    let error = ask(url.parse().unwrap(), "ping", &json!({})).await.unwrap_err();
    assert!(
        format!("{error:#}").starts_with(&format!("cannot reach `{url}`; is the gateway running?")),
        "{error:#}"
    );
}

#[tokio::test]
async fn an_address_of_another_scheme_is_refused() {
    for url in ["https://localhost/mcp", "localhost:3000", "/mcp"] {
        let error = ask(url.parse().unwrap(), "ping", &json!({})).await.unwrap_err();
        assert_eq!(error.to_string(), format!("`{url}` is not an `http://` address"));
    }
}

#[track_caller]
fn check_exit(answer: Value, exit: Exit) {
    assert_eq!(print(&answer).unwrap(), exit);
}

#[test]
fn an_error_in_whatever_form_is_a_no() {
    check_exit(json!({ "result": { "tools": [] } }), Exit::Done);
    check_exit(json!({ "result": { "isError": false } }), Exit::Done);
    check_exit(json!({ "result": { "isError": true } }), Exit::No);
    check_exit(
        json!({ "error": { "code": -31001, "data": { "kind": "policy_denied" } } }),
        Exit::No,
    );
    assert!(print(&json!({ "id": 1 })).is_err());
}

#[tokio::test]
async fn a_refused_initialize_is_the_answer() {
    let refused = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "error": { "code": -31001, "message": "not you", "data": { "kind": "policy_denied" } },
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let answer = refused.clone();
    let app =
        axum::Router::new().route("/mcp", axum::routing::post(async move || answer.to_string()));
    tokio::spawn(async { axum::serve(listener, app).await });
    let answer = ask(url.parse().unwrap(), "tools/list", &json!({})).await.unwrap();
    assert_eq!(answer, refused);
    check_exit(answer, Exit::No);
}
