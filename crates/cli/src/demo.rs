//! `mcp-proxy demo-server`: a small MCP server to try the gateway on.

use std::net::SocketAddr;
use std::path::PathBuf;

use ::demo::Server;
use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::{Exit, output};

/// Options of `demo-server`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy run -- mcp-proxy demo-server                over stdio, behind the gateway\n  \
    mcp-proxy demo-server --listen 127.0.0.1:8080         over Streamable HTTP, at /mcp\n  \
    mcp-proxy call --url http://127.0.0.1:8080/mcp tools/list")]
pub(crate) struct DemoArgs {
    /// Serve Streamable HTTP on this address instead of stdio (`127.0.0.1:0` takes a free port)
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// Folder that the file tools work in [default: a folder of its own under the temporary one]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

pub(crate) fn execute(args: DemoArgs) -> anyhow::Result<Exit> {
    let root = args.root.unwrap_or_else(|| std::env::temp_dir().join("mcp-proxy-demo"));
    let prepared = Server::new(root.clone());
    let server =
        prepared.with_context(|| format!("cannot prepare the demo folder `{}`", root.display()))?;
    crate::runtime()?.block_on(async {
        let Some(address) = args.listen else {
            return ::demo::serve_stdio(server).await.context("cannot read standard input");
        };
        let bound = TcpListener::bind(address).await;
        let listener = bound.with_context(|| format!("cannot listen on `{address}`"))?;
        output::note(&format!("demo server on http://{}/mcp", listener.local_addr()?));
        ::demo::serve_http(server, listener).await.context("the server failed")
    })?;
    Ok(Exit::Done)
}
