use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::Server;

fn server() -> (Server, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Server::new(folder.path().join("demo")).unwrap(), folder)
}

/// Everything that the server sends for one message, in order.
async fn messages(server: &Server, message: Value) -> Vec<Value> {
    let (outlet, mut inlet) = mpsc::channel(1);
    let server = server.clone();
    let answering = tokio::spawn(async move { server.answer(message, outlet).await });
    let mut messages = Vec::new();
    while let Some(message) = inlet.recv().await {
        messages.push(message);
    }
    answering.await.unwrap();
    messages
}

async fn request(server: &Server, method: &str, params: Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": "r1", "method": method, "params": params });
    let mut messages = messages(server, request).await;
    assert_eq!(messages.len(), 1, "{messages:?}");
    let answer = messages.remove(0);
    assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!("r1")));
    answer
}

/// The text of a tool's result, `Err` when it is marked as an error.
async fn call(server: &Server, tool: &str, arguments: Value) -> Result<String, String> {
    let params = json!({ "name": tool, "arguments": arguments });
    let answer = request(server, "tools/call", params).await;
    let text = answer["result"]["content"][0]["text"].as_str().unwrap().to_owned();
    if answer["result"]["isError"].as_bool().unwrap() { Err(text) } else { Ok(text) }
}

#[tokio::test]
async fn tools_that_answer_at_once() {
    let (server, _folder) = server();
    assert_eq!(call(&server, "echo", json!({ "message": "hi" })).await.unwrap(), "hi");
    assert_eq!(
        call(&server, "weather", json!({ "city": "Kyiv" })).await.unwrap(),
        "It is sunny in Kyiv."
    );
    let customer = call(&server, "lookup_customer", json!({ "id": 7 })).await.unwrap();
    let customer: Value = serde_json::from_str(&customer).unwrap();
    assert_eq!((&customer["id"], &customer["email"]), (&json!(7), &json!("customer7@example.com")));
}

#[tokio::test]
async fn tools_that_work_on_files() {
    let (server, _folder) = server();
    assert_eq!(call(&server, "list_files", json!({})).await.unwrap(), "welcome.txt");
    let note = json!({ "path": "note.txt", "text": "größer" });
    assert_eq!(call(&server, "write_file", note.clone()).await.unwrap(), "wrote 8 bytes");
    assert_eq!(call(&server, "read_file", note.clone()).await.unwrap(), "größer");
    assert_eq!(call(&server, "list_files", json!({})).await.unwrap(), "note.txt\nwelcome.txt");
    assert_eq!(call(&server, "delete_file", note.clone()).await.unwrap(), "deleted");
    let missing = call(&server, "read_file", note).await.unwrap_err();
    assert!(missing.starts_with("`note.txt`: "), "{missing}");
}

#[tokio::test(start_paused = true)]
async fn the_slow_tool_waits_as_long_as_it_was_asked_but_not_for_ever() {
    let (server, _folder) = server();
    for (asked, waited) in [(json!(250), 250), (json!(1_000_000_000_u64), 60_000)] {
        let start = tokio::time::Instant::now();
        assert_eq!(call(&server, "slow", json!({ "milliseconds": asked })).await.unwrap(), "done");
        assert_eq!(start.elapsed().as_millis(), waited);
    }
}

#[tokio::test]
async fn progress_comes_in_order_and_the_answer_last() {
    let (server, _folder) = server();
    let request = |meta: Value| {
        let params = json!({ "name": "count", "arguments": { "to": 5 }, "_meta": meta });
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })
    };
    let counted = messages(&server, request(json!({ "progressToken": "p" }))).await;
    let (answer, progress) = counted.split_last().unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "counted to 5");
    let steps: Vec<_> = progress.iter().map(|message| message["params"].clone()).collect();
    let step = |n: u64| json!({ "progressToken": "p", "progress": n, "total": 5 });
    assert_eq!(steps, (1..=5).map(step).collect::<Vec<_>>());
    assert_eq!(messages(&server, request(json!({}))).await.len(), 1, "no token, no progress");
}

#[track_caller]
fn check_refused(outcome: Result<String, String>, path: &str) {
    assert_eq!(outcome, Err(format!("`{path}` is not a path inside the demo folder")));
}

#[tokio::test]
async fn no_path_leaves_the_folder() {
    let (server, folder) = server();
    std::fs::write(folder.path().join("secret.txt"), "secret").unwrap();
    std::os::unix::fs::symlink(folder.path(), server.root.join("up")).unwrap();
    let absolute = folder.path().join("secret.txt");
    let absolute = absolute.to_str().unwrap();
    for path in [
        "../secret.txt",
        "a/../../secret.txt",
        "./welcome.txt",
        "..",
        "/",
        "up/secret.txt",
        absolute,
    ] {
        let arguments = json!({ "path": path, "text": "overwritten" });
        for tool in ["read_file", "write_file", "delete_file"] {
            check_refused(call(&server, tool, arguments.clone()).await, path);
        }
    }
    assert_eq!(std::fs::read_to_string(absolute).unwrap(), "secret");
    assert!(call(&server, "read_file", json!({})).await.is_err(), "the folder itself is no file");
}

#[tokio::test]
async fn a_link_in_the_place_of_the_file_is_replaced_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    std::fs::write(&target, "mine").unwrap();
    std::os::unix::fs::symlink(&target, folder.path().join("welcome.txt")).unwrap();
    let server = Server::new(folder.path().to_owned()).unwrap();
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "mine");
    let welcome = call(&server, "read_file", json!({ "path": "welcome.txt" })).await.unwrap();
    assert_eq!(welcome, "Every call you make here is decided by policy.\n");
}

#[tokio::test]
async fn every_listed_tool_can_be_called() {
    let (server, _folder) = server();
    let list = request(&server, "tools/list", json!({})).await;
    let tools = list["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 9);
    for tool in tools {
        let name = tool["name"].as_str().unwrap();
        let mut arguments = serde_json::Map::new();
        for (argument, schema) in tool["inputSchema"]["properties"].as_object().unwrap() {
            let value = if schema["type"] == "integer" { json!(1) } else { json!("welcome.txt") };
            arguments.insert(argument.clone(), value);
        }
        assert!(call(&server, name, arguments.into()).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn the_other_methods_answer() {
    let (server, _folder) = server();
    let text = async |method, params, pointer| {
        let answer = request(&server, method, params).await;
        answer.pointer(pointer).unwrap_or_else(|| panic!("{method}: {answer}")).clone()
    };
    for version in ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] {
        let params = json!({ "protocolVersion": version });
        assert_eq!(text("initialize", params, "/result/protocolVersion").await, version);
    }
    let params = json!({ "protocolVersion": "1999-01-01" });
    assert_eq!(text("initialize", params, "/result/protocolVersion").await, "2025-11-25");
    assert_eq!(text("ping", json!({}), "/result").await, json!({}));
    let uri = json!({ "uri": "demo://welcome.txt" });
    assert_eq!(text("resources/list", json!({}), "/result/resources/0/uri").await, uri["uri"]);
    let welcome = text("resources/read", uri, "/result/contents/0/text").await;
    assert!(welcome.as_str().unwrap().contains("policy"), "{welcome}");
    assert_eq!(text("prompts/list", json!({}), "/result/prompts/0/name").await, "summarise");
    let prompt = json!({ "name": "summarise", "arguments": { "text": "long" } });
    let prompt = text("prompts/get", prompt, "/result/messages/0/content/text").await;
    assert!(prompt.as_str().unwrap().ends_with("long"), "{prompt}");
}

#[tokio::test]
async fn what_is_not_known_is_an_error() {
    let (server, _folder) = server();
    for (method, params, code) in [
        ("tools/burn", json!({}), -32601),
        ("tools/call", json!({ "name": "burn" }), -32602),
        ("prompts/get", json!({ "name": "burn" }), -32602),
        ("resources/read", json!({ "uri": "demo://burn" }), -32002),
    ] {
        assert_eq!(request(&server, method, params).await["error"]["code"], code, "{method}");
    }
}

#[tokio::test]
async fn notifications_and_answers_lead_to_nothing() {
    let (server, _folder) = server();
    for message in [
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 1, "result": {} }),
        json!([]),
    ] {
        assert!(messages(&server, message).await.is_empty());
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let error = Server::new(Path::new("/dev/null/demo").to_owned()).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::NotADirectory);
}
