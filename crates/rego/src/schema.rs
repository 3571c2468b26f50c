//! The schema of `input`: what a policy can read, by stage and by type.
//!
//! The types mirror `domain::PolicyInput` as policy sees it. They are never built: the JSON Schema of them is
//! `policies/schema/input.json`, and the check of `input.*` paths walks it. What a client, a server or a policy
//! shapes itself (arguments, results, annotations, headers) is open; everything else is closed.

#![expect(dead_code, reason = "the fields are read by schemars, which makes the schema of them")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// What a policy sees of one message. A member that the message does not have is absent, hence undefined.
#[derive(JsonSchema)]
#[schemars(title = "input", deny_unknown_fields)]
struct Input {
    /// Where in the life of the message the decision falls.
    stage: Stage,
    /// The method, such as `tools/call`. At stage list the one that would use the entry; absent at stage connect.
    method: Option<String>,
    /// The tool that is called or listed.
    tool: Option<String>,
    /// The URI of the resource.
    resource: Option<String>,
    /// The prompt.
    prompt: Option<String>,
    /// The arguments of the call. Absent at stage list.
    arguments: Option<Value>,
    /// The message once more, and what only it has.
    request: Request,
    /// The agent that sends.
    agent: Agent,
    /// How far the agent's identity is proven.
    identity: Identity,
    /// The session, and what it has done so far.
    session: Session,
    /// The server.
    server: Server,
    /// The circumstances.
    context: Context,
    /// What detectors found.
    findings: Vec<Finding>,
    /// The result or error, at stage response only.
    result: Option<Value>,
}

/// Where in the life of a message a decision falls.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// A message of the client.
    Request,
    /// The answer to it.
    Response,
    /// One entry of a list answer.
    List,
    /// A message of the server.
    ServerRequest,
    /// A client that opens a session or a connection.
    Connect,
}

/// The message once more, and what only it has.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Request {
    /// The id, as sent; absent for notifications.
    id: Option<Value>,
    /// As `input.method`.
    method: Option<String>,
    /// As `input.tool`.
    tool: Option<String>,
    /// As `input.resource`.
    resource: Option<String>,
    /// As `input.prompt`.
    prompt: Option<String>,
    /// As `input.arguments`.
    arguments: Option<Value>,
    /// The parameters as sent.
    params: Option<Value>,
    /// Bytes of the message.
    size: u64,
}

/// The agent; texts are empty where nothing is configured.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Agent {
    /// The identifier.
    id: String,
    /// The name for people.
    name: String,
    /// What it may do, such as `read:*`.
    capabilities: Vec<String>,
    /// The model behind it.
    model: String,
    /// Who publishes it.
    publisher: String,
    /// Free labels.
    tags: Vec<String>,
    /// The roles.
    roles: Vec<String>,
}

/// How far the agent's identity is proven.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Identity {
    /// Whether a credential proved it.
    verified: bool,
    /// How: `configured` when the agent is the one of the configuration.
    method: String,
    /// The decentralised identifier; empty when there is none.
    did: String,
}

/// The session, and what it has done so far.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Session {
    /// Its public name; absent for stateless clients, like the next two.
    id: Option<String>,
    /// Messages so far, this one included.
    request_count: Option<u64>,
    /// When it began, RFC 3339 in UTC.
    started_at: Option<String>,
    /// The revision of the protocol.
    protocol_version: Option<String>,
    /// What the client calls itself.
    client: Option<Client>,
    /// Calls of tools that the server declares read-only, and resources read.
    cumulative_reads: u64,
    /// Calls of every other tool.
    cumulative_writes: u64,
    /// How often each tool was called.
    tools_used: BTreeMap<String, u64>,
    /// The labels that policy has attached.
    taints: Vec<String>,
    /// Bytes of requests that left for the server.
    bytes_out: u64,
}

/// What the client calls itself.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Client {
    /// The name.
    name: Option<String>,
    /// The version.
    version: Option<String>,
}

/// The server.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Server {
    /// The configured name.
    name: String,
    /// How it is reached: `http`, `sse`, `websocket` or `stdio`.
    transport: String,
    /// The address, when it has one.
    url: Option<String>,
    /// What it says of the tool, at stages request and list, once it was listed.
    tool: Option<Tool>,
}

/// What a server says of a tool.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Tool {
    /// The description.
    description: Option<String>,
    /// The annotations, as sent.
    annotations: Option<Value>,
    /// SHA-256 over the definition in canonical form, in hexadecimal.
    digest: String,
    /// Whether the gateway has seen another definition of the tool since it was started.
    changed: bool,
}

/// The circumstances of a message.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Context {
    /// The time, RFC 3339 in UTC.
    timestamp: String,
    /// The client's address without the port; absent for messages of the server.
    source_ip: Option<String>,
    /// `policy.environment` of the configuration.
    environment: String,
    /// How the message came in.
    transport: Transport,
    /// The client's headers that `policy.headers` names, in lower case.
    headers: BTreeMap<String, String>,
}

/// How a message came in.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Transport {
    /// Streamable HTTP.
    Http,
    /// HTTP+SSE.
    Sse,
    /// WebSocket.
    WebSocket,
    /// Standard input and output.
    Stdio,
}

/// What a detector found.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Finding {
    /// The detector.
    detector: String,
    /// What it looks for.
    kind: String,
    /// Its rule.
    rule: String,
    /// Where it was found.
    path: String,
    /// How bad it is.
    severity: String,
    /// How sure it is, from 0 to 1.
    score: f64,
}

/// The JSON Schema (2020-12) of `input`, without references.
#[must_use]
pub fn input() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let settings = SchemaSettings::draft2020_12().with(|it| it.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<Input>().to_value();
        absent_not_null(&mut schema);
        schema
    });
    &SCHEMA
}

/// What a message does not have is absent and never `null`.
fn absent_not_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(absent_not_null),
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|it| it != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    members.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(choices)) = members.get("anyOf")
                && let [Value::Object(choice), null] = choices.as_slice()
                && null.get("type").is_some_and(|it| it == "null")
            {
                let choice = choice.clone();
                members.remove("anyOf");
                for (key, value) in choice {
                    members.entry(key).or_insert(value);
                }
            }
            members.values_mut().for_each(absent_not_null);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests;
