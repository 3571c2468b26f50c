//! What the scripted server answers. Most behaviour is chosen by the name of
//! the tool that is called, so that a test reads as a list of calls.

use std::sync::Arc;

use serde_json::{Value, json};

use super::upstream::{Reply, Shared};

/// The tools of the list answer.
pub(crate) const TOOLS: [&str; 5] = ["echo", "read_file", "write_file", "delete_file", "hold"];

/// Answers one message; notifications and answers of the client get none.
pub(crate) fn answer(shared: &Arc<Shared>, message: &Value, reply: &mut Reply<'_>) {
    let (Some(id), Some(method)) = (message.get("id"), message["method"].as_str()) else { return };
    let params = &message["params"];
    let result = match method {
        "initialize" => initialize(params),
        "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => json!({}),
        "tools/list" if params["cursor"].is_string() => return odd_list(shared, id, params, reply),
        "tools/list" => tools(),
        "resources/list" => json!({ "resources": [
            { "uri": "demo://open.txt", "name": "open" }, { "uri": "demo://secret.txt", "name": "secret" } ] }),
        "resources/templates/list" => json!({ "resourceTemplates": [
            { "uriTemplate": "demo://open/{x}", "name": "open" }, { "uriTemplate": "demo://secret/{x}", "name": "secret" } ] }),
        "prompts/list" => json!({ "prompts": [{ "name": "open" }, { "name": "secret" }] }),
        "resources/read" => json!({ "contents": [{ "uri": params["uri"], "text": "content" }] }),
        "prompts/get" => {
            json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": "do" } }] })
        }
        "completion/complete" => json!({ "completion": { "values": ["a"] } }),
        "tools/call" => return call(shared, id, params, reply),
        _ => {
            let error = json!({ "code": -32601, "message": "the fake server does not know that" });
            return reply.finish(&json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        }
    };
    reply.finish(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
}

fn initialize(params: &Value) -> Value {
    json!({
        "protocolVersion": params["protocolVersion"],
        "capabilities": {
            "tools": { "listChanged": true }, "resources": { "subscribe": true }, "prompts": {},
            "logging": {}, "completions": {},
        },
        "serverInfo": { "name": "fake", "version": "1.2.3" },
    })
}

/// Carries fields that no revision knows, and a number in an odd spelling.
fn tools() -> Value {
    let list = TOOLS.iter().map(|name| {
        json!({
            "name": name, "description": format!("does {name}"), "inputSchema": { "type": "object" },
            "x-unknown": { "kept": true },
        })
    });
    json!({ "tools": list.collect::<Vec<_>>(), "x-page": 7 })
}

/// Ways of answering a list that a filter must not overlook.
fn odd_list(shared: &Arc<Shared>, id: &Value, params: &Value, reply: &mut Reply<'_>) {
    let list = json!({ "jsonrpc": "2.0", "id": id, "result": tools() });
    let events = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type:";
    match params["cursor"].as_str().unwrap_or_default() {
        "odd type" => reply.status(
            "200 OK",
            "Content-Type: Application/JSON ;charset=utf-8\r\n",
            &list.to_string(),
        ),
        "no type" => reply.status("200 OK", "", &list.to_string()),
        "created" => {
            reply.status("201 Created", "Content-Type: application/json\r\n", &list.to_string())
        }
        "bad event first" => {
            reply.break_off(&format!(
                "{events} text/event-stream\r\n\r\ndata: {{broken\n\ndata: {list}\n\n"
            ));
        }
        "odd stream type" => {
            reply.break_off(&format!("{events} Text/Event-Stream;x=y\r\n\r\ndata: {list}\n\n"))
        }
        "split data" => {
            let text = list.to_string().replace(",\"x-page\"", "\ndata: ,\"x-page\"");
            reply.break_off(&format!("{events} text/event-stream\r\n\r\ndata: {text}\n\n"));
        }
        "carriage returns" => {
            reply.break_off(&format!(
                "{events} text/event-stream\r\n\r\nevent: message\rdata: {list}\r\r"
            ));
        }
        "another event name" => {
            reply.break_off(&format!(
                "{events} text/event-stream\r\n\r\nevent: tools\ndata: {list}\n\n"
            ));
        }
        "other stream" => {
            for stream in shared.streams.lock().unwrap().values() {
                drop(stream.send(list.to_string()));
            }
            reply.status("202 Accepted", "", "");
        }
        "batch" => {
            reply.status("200 OK", "Content-Type: application/json\r\n", &json!([list]).to_string())
        }
        "twice" => {
            reply.break_off(&format!(
                "{events} text/event-stream\r\n\r\ndata: {list}\n\ndata: {list}\n\n"
            ));
        }
        _ => reply.finish(&list),
    }
}

fn call(shared: &Arc<Shared>, id: &Value, params: &Value, reply: &mut Reply<'_>) {
    let arguments = &params["arguments"];
    let text = |text: &str| json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [{ "type": "text", "text": text }] } });
    let progress = |step: u64| {
        let params = json!({ "progressToken": params["_meta"]["progressToken"], "progress": step, "total": 2 });
        json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params })
    };
    match params["name"].as_str().unwrap_or_default() {
        "echo" => reply.finish(&text(arguments["message"].as_str().unwrap_or("nothing to echo"))),
        "hold" => {
            shared.wait_for_release();
            reply.finish(&text("released"));
        }
        "never" => {
            shared.never();
            reply.break_off("");
        }
        "steps" => {
            reply.event(&progress(1));
            shared.wait_for_release();
            reply.event(&progress(2));
            shared.wait_for_release();
            reply.finish(&text("stepped"));
        }
        "sample" => {
            let asked = format!("ask-{}", arguments["who"].as_str().unwrap_or_default());
            reply
                .event(&json!({ "jsonrpc": "2.0", "id": asked, "method": "sampling/createMessage",
                "params": { "messages": [], "maxTokens": 5, "who": arguments["who"] } }));
            let answer = shared.answer_of_client(&asked).unwrap_or_default();
            reply
                .finish(&text(answer["result"]["content"]["text"].as_str().unwrap_or("no answer")));
        }
        "large" => reply.finish(&text(
            &"x".repeat(usize::try_from(arguments["bytes"].as_u64().unwrap_or(1)).unwrap()),
        )),
        "odd_number" => {
            reply.status("200 OK", "Content-Type: application/json\r\n", &odd_number(id))
        }
        other => broken(other, id, reply, &text("not for you")),
    }
}

/// An answer whose numbers and fields must come through as they were written.
fn odd_number(id: &Value) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[],"structuredContent":{{"price":1.50,"big":12345678901234567890123,"e":1E+2}},"x-new":[1]}}}}"#
    )
}

/// The ways in which a server fails; any other tool just runs.
fn broken(tool: &str, id: &Value, reply: &mut Reply<'_>, text: &Value) {
    let json = "Content-Type: application/json\r\n";
    match tool {
        "wrong_id" => reply.finish(&json!({ "jsonrpc": "2.0", "id": "somebody-else", "result": text["result"] })),
        "object_id" => reply.finish(&json!({ "jsonrpc": "2.0", "id": { "a": 1 }, "result": text["result"] })),
        "die" => reply.break_off(""),
        "die_mid_answer" => reply.break_off(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"jsonrpc\":\"2.0\",",
        ),
        "die_mid_stream" => reply.break_off(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ndata: \r\n",
        ),
        "not_json" => reply.status("200 OK", json, "this is not JSON"),
        "html" => reply.status("200 OK", "Content-Type: text/html\r\n", "<html>hello</html>"),
        "status_500" => reply.status("500 Internal Server Error", "", "secret stack trace"),
        "redirect" => reply.status("302 Found", "Location: http://127.0.0.1:1/elsewhere\r\n", ""),
        "empty" => reply.status("200 OK", json, ""),
        "fails" => {
            let error = json!({ "code": -32050, "message": "the tool failed", "data": { "why": "because" } });
            reply.finish(&json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        }
        other => reply.finish(&json!({ "jsonrpc": "2.0", "id": id,
            "result": { "content": [{ "type": "text", "text": format!("ran {other}") }] } })),
    }
}
