//! The official Rust SDK against the gateway.
//!
//! ```text
//! rmcp-peer server PORT
//! rmcp-peer client legacy|modern URL TOOL ARGUMENTS
//! ```
//!
//! The client lists the tools and calls one; it prints one line of JSON, the same fields as `client.mjs`, and
//! ends with code 2 when it could not.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
    PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{ClientLifecycleMode, RequestContext, serve_client_with_lifecycle};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::json;

const COULD_NOT_ASK: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(COULD_NOT_ASK)
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", port] => serve(port.parse()?).await,
        ["client", era, url, tool, arguments] => ask(era, url, tool, arguments).await,
        _ => bail!("usage: rmcp-peer server PORT | client legacy|modern URL TOOL ARGUMENTS"),
    }
}

async fn ask(era: &str, url: &str, tool: &str, arguments: &str) -> anyhow::Result<()> {
    let lifecycle = match era {
        "legacy" => ClientLifecycleMode::Initialize,
        "modern" => ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        },
        _ => bail!("no era `{era}`"),
    };
    let transport = StreamableHttpClientTransport::from_uri(url);
    let client = serve_client_with_lifecycle((), transport, lifecycle).await?;
    let tools = client.list_all_tools().await?;
    let mut call = CallToolRequestParams::new(tool.to_owned());
    call.arguments = serde_json::from_str(arguments)?;
    let result = serde_json::to_value(client.call_tool(call).await?)?;
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    let server = client.peer_info().context("no revision was negotiated")?;
    println!(
        "{}",
        json!({ "revision": server.protocol_version, "tools": names, "content": result["content"] })
    );
    client.cancel().await?;
    Ok(())
}

async fn serve(port: u16) -> anyhow::Result<()> {
    let service = StreamableHttpService::new(
        || Ok(Echo),
        Arc::<LocalSessionManager>::default(),
        StreamableHttpServerConfig::default(),
    );
    let router = axum::Router::new().nest_service("/mcp", service);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    Ok(axum::serve(listener, router).await?)
}

/// A server with one tool, which says what it is told.
#[derive(Clone)]
struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = json!({ "type": "object", "properties": { "message": { "type": "string" } } });
        let schema = schema.as_object().cloned().unwrap_or_default();
        Ok(ListToolsResult::with_all_items(vec![Tool::new("echo", "Says it back", schema)]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let message = request.arguments.as_ref().and_then(|a| a.get("message")?.as_str());
        let text = format!("Echo: {}", message.unwrap_or_default());
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}
