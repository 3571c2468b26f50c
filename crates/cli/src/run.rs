//! `mcp-proxy run`: serve until told to stop, or until the only client has left.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::{Mode, Span};
use gateway::{Addresses, Process, Running, Stopped};
use settings::{Loaded, Origin, Settings};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use transport_http::Served;

use crate::{COULD_NOT_ANSWER, Exit, output};

/// How long after a signal another one is a repeat of it.
const REPEATS: Duration = Duration::from_secs(1);

/// What stands behind the gateway, and how it is configured.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// Configuration file; without one the documented defaults apply, and `MCP_*` in any case
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Address of the MCP server, instead of `upstream.url`
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    upstream: Option<String>,

    /// Environment variable that the command inherits, beside those of `upstream.env_allow`; may be repeated
    #[arg(long, short, value_name = "NAME")]
    env: Vec<String>,

    /// Command that starts the MCP server over stdio, instead of `upstream.command`
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Options of `run`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy run                                      the built-in demo server, to try things\n  \
    mcp-proxy run --config config/proxy.yaml\n  \
    mcp-proxy run --upstream http://localhost:8080/mcp\n  \
    mcp-proxy run -- npx -y @modelcontextprotocol/server-everything\n\n\
    With --upstream or a command, and no policy.mode configured, the mode is audit.\n\
    SIGHUP reads the policies again; what does not load is not taken over. SIGTERM, SIGINT and SIGQUIT stop, a second \
    one cuts the calls in flight.")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn execute(args: RunArgs) -> anyhow::Result<Exit> {
    let environment = crate::environment();
    let mut loaded = load(args.server, &environment)?;
    let demo = !loaded.settings.names_upstream();
    if demo {
        choose_demo(&mut loaded.settings.upstream)?;
    }
    serve(loaded, environment, demo)
}

/// The settings of the file and the environment, with what the command line says of the server.
pub(crate) fn load(
    args: ServerArgs,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<Loaded> {
    let mut loaded = Settings::load(args.config.as_deref(), environment.clone().into_iter())?;
    let named = args.upstream.is_some() || !args.command.is_empty();
    loaded.warnings.extend(check_inherited(&args.env, environment)?);
    let upstream = &mut loaded.settings.upstream;
    upstream.env_allow.extend(args.env);
    if named {
        upstream.url = args.upstream;
        upstream.command = args.command;
        if is_default(&loaded, "policy.mode") {
            loaded.settings.policy.mode = Mode::Audit;
        }
    }
    Ok(loaded)
}

/// What is to be warned of in the names that `--env` gives.
///
/// # Errors
///
/// One of them is an assignment, whose value stays out of the text.
fn check_inherited(
    names: &[String],
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<String>> {
    if let Some((name, _)) = names.iter().find_map(|name| name.split_once('=')) {
        bail!(
            "`--env {name}=…`: values on the command line can be read by others; write `--env {name}`, and set \
             `{name}` in the environment that mcp-proxy is started with"
        );
    }
    let unset = names.iter().filter(|name| !environment.contains_key(*name));
    Ok(unset
        .map(|name| {
            format!(
                "`--env {name}`: the variable is not set, and the server does not get it; set `{name}` in the \
                 environment that mcp-proxy is started with"
            )
        })
        .collect())
}

fn is_default(loaded: &Loaded, key: &str) -> bool {
    matches!(loaded.origins.get(key), None | Some(Origin::Default))
}

/// Serves until a signal comes, or the only client has left. `demo` says that the demo server stands behind.
pub(crate) fn serve(
    mut loaded: Loaded,
    environment: BTreeMap<String, String>,
    demo: bool,
) -> anyhow::Result<Exit> {
    let stdio = loaded.settings.server.transport == Served::Stdio;
    if stdio && is_default(&loaded, "session.ttl") {
        // The process lives as long as its client wants it, and so does the session.
        loaded.settings.session.ttl = Span::default();
    }
    loaded.settings.validate()?;
    let config_digest = loaded.digest();
    let Loaded { settings, warnings, .. } = loaded;
    let log = observability::init_tracing(&settings.logging)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    // What serves has threads of its own: this one starts, watches and stops them.
    crate::runtime()?.block_on(async {
        let mut signals = Signals::listen()?;
        // Not one of those that stop: it reloads the policies.
        let mut hang_up = signal(SignalKind::hangup())?;
        let lost_log_lines = Box::new(log.dropped_lines());
        let process = Process { environment, lost_log_lines, config_digest };
        let mut running = gateway::start(settings.clone(), process).await?;
        output::note(&banner(running.addresses(), running.revision().as_deref(), &settings));
        if let (true, Some(address)) = (demo, running.addresses().data) {
            output::note(&suggestions(address, &settings));
        }
        let told = loop {
            tokio::select! {
                () = signals.next() => break true,
                _ = hang_up.recv() => running.reload(),
                () = running.served() => break false,
            }
        };
        let stopped = match (told, stdio) {
            (true, false) => stop(running, signals, settings.server.graceful_shutdown).await,
            // Whoever signals is the client, or has ended it: nobody waits for an answer.
            (true, true) => running.stop(std::future::ready(())).await,
            (false, _) => running.stop(std::future::pending()).await,
        };
        match stopped {
            Stopped { failure: Some(failure), .. } => Err(failure.into()),
            Stopped { lost_rows: 0, .. } => Ok(Exit::Done),
            Stopped { lost_rows, .. } => bail!(
                "rows lost of the audit log: {lost_rows}; `{}` could not be written to the end",
                settings.audit.db_path.display(),
            ),
        }
    })
}

/// Stops. A second signal cuts the calls in flight, a third one ends the process at once.
async fn stop(running: Running, mut signals: Signals, grace: Span) -> Stopped {
    output::note(&format!("stopping: calls in flight have {grace}"));
    let hurry = Notify::new();
    let mut stopping = pin!(running.stop(hurry.notified()));
    tokio::select! {
        stopped = stopping.as_mut() => return stopped,
        () = signals.another() => {}
    }
    output::note("stopping: calls in flight are cut");
    hurry.notify_one();
    tokio::select! {
        stopped = stopping => stopped,
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
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
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

/// Puts the demo server behind the gateway.
fn choose_demo(upstream: &mut upstream::Config) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    upstream.name = "demo".into();
    upstream.command = vec![program.to_string_lossy().into_owned(), "demo-server".to_owned()];
    Ok(())
}

/// What serves where.
fn banner(addresses: &Addresses, revision: Option<&str>, settings: &Settings) -> String {
    let upstream = &settings.upstream;
    let mut lines = vec![
        format!("listening on {}", endpoints(settings.server.transport, addresses.data)),
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

/// Where clients are served.
fn endpoints(served: Served, address: Option<SocketAddr>) -> String {
    let stdio = "standard input".to_owned();
    let Some(address) = address else { return stdio };
    let http = format!("http://{address}/mcp (Streamable HTTP)");
    let sse = format!("http://{address}/sse (HTTP+SSE)");
    let websocket = format!("ws://{address}/ws (WebSocket)");
    match served {
        Served::All => format!("{http}, {sse} and {websocket}"),
        Served::Http => http,
        Served::Sse => sse,
        Served::WebSocket => websocket,
        Served::Stdio => stdio,
    }
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
    match settings.server.transport {
        Served::All | Served::Http => {}
        Served::Sse => return format!("{intro} Connect an agent that speaks HTTP+SSE.\n"),
        Served::WebSocket => return format!("{intro} Connect an agent that speaks WebSocket.\n"),
        Served::Stdio => return intro.to_owned(),
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
