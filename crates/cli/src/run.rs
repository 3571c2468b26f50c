//! `mcp-proxy run`: serve until told to stop.

use std::path::PathBuf;

use anyhow::Context as _;
use domain::Mode;
use gateway::{Process, Running};
use settings::{Loaded, Origin, Settings};
use tokio::signal::unix::{SignalKind, signal};

use crate::{Exit, output};

/// Options of `run`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy run                                      the built-in demo server, to try things\n  \
    mcp-proxy run --config config/proxy.yaml\n  \
    mcp-proxy run --upstream http://localhost:8080/mcp\n  \
    mcp-proxy run -- npx -y @modelcontextprotocol/server-everything\n\n\
    With --upstream or a command, and no policy.mode configured, the mode is audit.")]
pub(crate) struct RunArgs {
    /// Configuration file; without one the documented defaults apply, and `MCP_*` in any case
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Address of the MCP server, instead of `upstream.url`
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    upstream: Option<String>,

    /// Command that starts the MCP server over stdio, instead of `upstream.command`
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn execute(args: RunArgs) -> anyhow::Result<Exit> {
    let environment = crate::environment();
    let mut loaded = Settings::load(args.config.as_deref(), environment.clone().into_iter())?;
    let demo = choose_upstream(&mut loaded, args)?;
    loaded.settings.validate()?;
    let Loaded { settings, warnings, .. } = loaded;
    let log = observability::init_tracing(&settings.logging)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    // What serves has threads of its own: this one starts, watches and stops them.
    crate::runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let process = Process { environment, lost_log_lines: Box::new(log.dropped_lines()) };
        let running = gateway::start(settings.clone(), process).await?;
        announce(&running, &settings, demo);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        output::note("stopping");
        let stopping = running.stop();
        tokio::select! {
            () = stopping => Ok(Exit::Done),
            _ = terminate.recv() => anyhow::bail!("stopped at once by a second signal"),
            _ = interrupt.recv() => anyhow::bail!("stopped at once by a second signal"),
        }
    })
}

/// Puts the server of the command line, or else the demo server, where none is configured. Whether
/// it is the demo server.
fn choose_upstream(loaded: &mut Loaded, args: RunArgs) -> anyhow::Result<bool> {
    if args.upstream.is_some() || !args.command.is_empty() {
        loaded.settings.upstream.url = args.upstream;
        loaded.settings.upstream.command = args.command;
        if matches!(loaded.origins.get("policy.mode"), None | Some(Origin::Default)) {
            loaded.settings.policy.mode = Mode::Audit;
        }
        return Ok(false);
    }
    if loaded.settings.names_upstream() {
        return Ok(false);
    }
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let upstream = &mut loaded.settings.upstream;
    upstream.name = "demo".into();
    upstream.command = vec![program.to_string_lossy().into_owned(), "demo-server".to_owned()];
    Ok(true)
}

/// Says what serves where, and what to try next.
fn announce(running: &Running, settings: &Settings, demo: bool) {
    let addresses = running.addresses();
    let url = format!("http://{}", addresses.data);
    output::note(&format!("listening on {url}/mcp (Streamable HTTP) and {url}/sse (HTTP+SSE)"));
    for (what, path, address) in [
        ("probes", &settings.health.readiness_path, addresses.health),
        ("metrics", &settings.metrics.path, addresses.metrics),
    ] {
        if let Some(address) = address {
            output::note(&format!("{what:9} on http://{address}{path}"));
        }
    }
    match running.revision() {
        Some(revision) => output::note(&format!(
            "policy    {} mode, revision {}",
            settings.policy.mode.as_str(),
            revision.get(..12).unwrap_or(revision),
        )),
        None => output::note("policy    off: every message passes"),
    }
    if settings.audit.enabled {
        output::note(&format!("audit log {}", settings.audit.db_path.display()));
    } else {
        output::note("audit log off: nothing is recorded");
    }
    if demo {
        let program = std::env::args().next().unwrap_or_else(|| "mcp-proxy".to_owned());
        let at =
            if addresses.data.port() == 3000 { String::new() } else { format!(" --url {url}/mcp") };
        output::note(&format!(
            "\nbehind it is the built-in demo server. Be the agent, in another terminal:\n  \
             {program} call{at} read_file path=welcome.txt             # allowed\n  \
             {program} call{at} write_file path=notes.txt text=hello   # denied, and why\n  \
             {program} audit query --method tools/call                 # both, in the log\n"
        ));
    }
}
