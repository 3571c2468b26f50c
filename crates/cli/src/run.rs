//! `mcp-proxy run`: serve until told to stop.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::{Mode, Span};
use gateway::{Addresses, Process, Running};
use settings::{Loaded, Origin, Settings};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use transport_http::Served;

use crate::{COULD_NOT_ANSWER, Exit, output};

/// How long after a signal another one is a repeat of it.
const REPEATS: Duration = Duration::from_secs(1);

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
        let mut signals = Signals::listen()?;
        let process = Process { environment, lost_log_lines: Box::new(log.dropped_lines()) };
        let running = gateway::start(settings.clone(), process).await?;
        output::note(&banner(running.addresses(), running.revision(), &settings));
        if demo {
            output::note(&suggestions(running.addresses().data, &settings));
        }
        signals.next().await;
        match stop(running, signals, settings.server.graceful_shutdown).await {
            0 => Ok(Exit::Done),
            lost => bail!(
                "rows lost of the audit log: {lost}; `{}` could not be written to the end",
                settings.audit.db_path.display(),
            ),
        }
    })
}

/// Stops, and returns how many rows of the audit log are lost. A second signal cuts the calls in
/// flight, a third one ends the process at once.
async fn stop(running: Running, mut signals: Signals, grace: Span) -> u64 {
    output::note(&format!("stopping: calls in flight have {grace}"));
    let hurry = Notify::new();
    let mut stopping = pin!(running.stop(hurry.notified()));
    tokio::select! {
        lost = stopping.as_mut() => return lost,
        () = signals.another() => {}
    }
    output::note("stopping: calls in flight are cut");
    hurry.notify_one();
    tokio::select! {
        lost = stopping => lost,
        () = signals.another() => {
            output::note("error: ended at once by a third signal; rows of the audit log may be lost");
            // Not by returning: what is waited for in vain would be waited for again when it is dropped.
            std::process::exit(COULD_NOT_ANSWER.into())
        }
    }
}

/// The signals that mean "stop".
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    /// The terminal has gone.
    hang_up: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }

    /// One more that is meant as such: terminals and supervisors signal the process and its group,
    /// so what follows within [`REPEATS`] is the same one again.
    async fn another(&mut self) {
        let calm = Instant::now() + REPEATS;
        while timeout_at(calm, self.next()).await.is_ok() {}
        self.next().await;
    }
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

/// What serves where.
fn banner(addresses: &Addresses, revision: Option<&str>, settings: &Settings) -> String {
    let url = format!("http://{}", addresses.data);
    let endpoints = match settings.server.transport {
        Served::All => format!("{url}/mcp (Streamable HTTP) and {url}/sse (HTTP+SSE)"),
        Served::Http => format!("{url}/mcp (Streamable HTTP)"),
        Served::Sse => format!("{url}/sse (HTTP+SSE)"),
    };
    let upstream = &settings.upstream;
    let mut lines = vec![
        format!("listening on {endpoints}"),
        format!("upstream  {}: {}", upstream.name, place(upstream)),
    ];
    for (what, path, address) in [
        ("probes", &settings.health.readiness_path, addresses.health),
        ("metrics", &settings.metrics.path, addresses.metrics),
    ] {
        lines.extend(address.map(|address| format!("{what:9} on http://{address}{path}")));
    }
    lines.push(match revision {
        Some(revision) => format!(
            "policy    {} mode, revision {}",
            settings.policy.mode.as_str(),
            revision.get(..12).unwrap_or(revision),
        ),
        None => "policy    off: every message passes".to_owned(),
    });
    lines.push(if settings.audit.enabled {
        format!("audit log {}", settings.audit.db_path.display())
    } else {
        "audit log off: nothing is recorded".to_owned()
    });
    lines.join("\n")
}

/// Where the server is, without what may be secret: user information, query, arguments.
fn place(upstream: &upstream::Config) -> String {
    let uri = upstream.url.as_ref().and_then(|url| url.parse::<hyper::Uri>().ok());
    if let Some(uri) = uri {
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        let (scheme, host) = (uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or_default());
        return format!("{scheme}://{host}{port}{}", uri.path());
    }
    let program = upstream.command.first().map(Path::new);
    let name = program.and_then(Path::file_name).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// What to try on the demo server.
fn suggestions(address: SocketAddr, settings: &Settings) -> String {
    let intro = "\nbehind it is the built-in demo server.";
    if settings.server.transport == Served::Sse {
        return format!("{intro} Connect an agent that speaks HTTP+SSE.\n");
    }
    let program = std::env::args().next().unwrap_or_else(|| "mcp-proxy".to_owned());
    let at = if address == SocketAddr::from(([127, 0, 0, 1], 3000)) {
        String::new()
    } else {
        format!(" --url http://{address}/mcp")
    };
    let mut hints = vec![
        (format!("{program} call{at} read_file path=welcome.txt"), "allowed"),
        (format!("{program} call{at} write_file path=notes.txt text=hello"), "denied, and why"),
    ];
    if settings.audit.enabled {
        let path = &settings.audit.db_path;
        let db = if *path == audit::Config::default().db_path {
            String::new()
        } else {
            format!(" --db {}", quoted(&path.to_string_lossy()))
        };
        hints.push((format!("{program} audit query{db} --method tools/call"), "both, in the log"));
    }
    let width = hints.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    let mut text = format!("{intro} Be the agent, in another terminal:\n");
    for (command, outcome) in hints {
        text.push_str(&format!("  {command:width$}   # {outcome}\n"));
    }
    text
}

/// The text as one word of a shell.
fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,".contains(c);
    if text.chars().all(plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests;
