//! `mcp-proxy wrap`: the gateway as a client's own child process, over standard input and output.

use anyhow::bail;
use transport_http::Served;

use crate::Exit;
use crate::run::{self, ServerArgs};

/// Options of `wrap`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy wrap -- npx -y @modelcontextprotocol/server-everything\n  \
    mcp-proxy wrap --env GITHUB_TOKEN -- github-mcp-server stdio\n  \
    mcp-proxy wrap --upstream https://mcp.example.com/mcp\n\n\
    In the configuration of a client (claude_desktop_config.json, .cursor/mcp.json):\n  \
    { \"mcpServers\": { \"everything\": { \"command\": \"mcp-proxy\",\n    \
    \"args\": [\"wrap\", \"--\", \"npx\", \"-y\", \"@modelcontextprotocol/server-everything\"] } } }\n\n\
    Standard output carries messages alone; logs go to standard error. It ends when its standard input does.\n\
    With --upstream or a command, and no policy.mode configured, the mode is audit.")]
pub(crate) struct WrapArgs {
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn execute(args: WrapArgs) -> anyhow::Result<Exit> {
    let environment = crate::environment();
    let mut loaded = run::load(args.server, &environment)?;
    if !loaded.settings.names_upstream() {
        bail!("no server is named; write its command after `--`, or its address with `--upstream`");
    }
    loaded.settings.server.transport = Served::Stdio;
    run::serve(loaded, environment, false)
}
