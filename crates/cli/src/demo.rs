//! `mcp-proxy demo-server`: a small MCP server to try the gateway on.
//!
//! It has what policies are written about: tools that read, tools that write (inside a temporary
//! folder), customer data, a slow tool, one that reports progress, and one whose description tries
//! to give the model orders. It speaks the stateful revisions of MCP over stdio or Streamable HTTP.

mod http;
mod server;
mod stdio;
mod tools;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::Exit;

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
    let server = server::Server::new(root)?;
    crate::runtime()?.block_on(async {
        match args.listen {
            Some(address) => http::serve(server, address).await,
            None => stdio::serve(server).await,
        }
    })?;
    Ok(Exit::Done)
}

#[cfg(test)]
pub(crate) mod tests;
