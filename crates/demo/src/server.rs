//! The messages of the demo server, apart from how they travel.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::ProtocolVersion;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::tools;

/// The demo server: stateless but for its folder.
#[derive(Clone)]
pub struct Server {
    pub(crate) root: Arc<PathBuf>,
}

/// Where a request's messages go: progress first, the response last.
pub(crate) type Outlet = mpsc::Sender<Value>;

impl Server {
    /// A server over `root`, which is made and given one file to read.
    ///
    /// # Errors
    ///
    /// The folder or the file cannot be made.
    pub fn new(root: PathBuf) -> std::io::Result<Self> {
        prepare(&root)?;
        Ok(Self { root: Arc::new(root) })
    }

    /// Answers one message. Notifications and answers of the client lead to nothing.
    pub(crate) async fn answer(&self, message: Value, outlet: Outlet) {
        let (Some(id), Some(method)) = (message.get("id"), message.get("method")) else { return };
        let params = message.get("params").cloned().unwrap_or_default();
        let result = match method.as_str().unwrap_or_default() {
            "initialize" => Ok(initialize(&params)),
            "ping" => Ok(json!({})),
            "tools/list" => Ok(json!({ "tools": tools::list() })),
            "tools/call" => tools::call(self, &params, &outlet).await,
            "resources/list" => Ok(json!({ "resources": [welcome_resource()] })),
            "resources/templates/list" => Ok(json!({ "resourceTemplates": [] })),
            "resources/read" => self.read_resource(&params),
            "prompts/list" => Ok(json!({ "prompts": [summary_prompt()] })),
            "prompts/get" => get_prompt(&params),
            "logging/setLevel" => Ok(json!({})),
            other => Err((-32601, format!("method `{other}` is not known"))),
        };
        let reply = match result {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err((code, message)) => {
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
            }
        };
        // Fails only when the client has gone, and then nobody waits for the reply.
        outlet.send(reply).await.ok();
    }

    fn read_resource(&self, params: &Value) -> Result<Value, (i32, String)> {
        let uri = params.get("uri").and_then(Value::as_str).unwrap_or_default();
        if uri != "demo://welcome.txt" {
            return Err((-32002, format!("resource `{uri}` is not known")));
        }
        let text = std::fs::read_to_string(self.root.join("welcome.txt")).unwrap_or_default();
        Ok(json!({ "contents": [{ "uri": uri, "mimeType": "text/plain", "text": text }] }))
    }
}

/// Makes the folder, for this user alone, and puts the file there in one step: another demo server may be reading it,
/// and in a shared temporary folder its name may be a link of somebody else's.
fn prepare(root: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(root)?;
    let fresh = root.join(format!(".welcome-{}", std::process::id()));
    std::fs::write(&fresh, "Every call you make here is decided by policy.\n")?;
    std::fs::rename(fresh, root.join("welcome.txt"))
}

fn initialize(params: &Value) -> Value {
    let asked = params.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
    let version = ProtocolVersion::from_str(asked).unwrap_or(ProtocolVersion::LATEST_LEGACY);
    json!({
        "protocolVersion": version.as_str(),
        "capabilities": { "tools": {}, "resources": {}, "prompts": {}, "logging": {} },
        "serverInfo": { "name": "mcp-proxy-demo", "version": env!("CARGO_PKG_VERSION") },
    })
}

fn welcome_resource() -> Value {
    json!({ "uri": "demo://welcome.txt", "name": "welcome.txt", "mimeType": "text/plain" })
}

fn summary_prompt() -> Value {
    json!({
        "name": "summarise",
        "description": "Asks for a summary of a text.",
        "arguments": [{ "name": "text", "description": "The text.", "required": true }],
    })
}

fn get_prompt(params: &Value) -> Result<Value, (i32, String)> {
    let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
    if name != "summarise" {
        return Err((-32602, format!("prompt `{name}` is not known")));
    }
    let text = params.pointer("/arguments/text").and_then(Value::as_str).unwrap_or_default();
    let content = json!({ "type": "text", "text": format!("Summarise in one sentence:\n{text}") });
    Ok(json!({ "messages": [{ "role": "user", "content": content }] }))
}
