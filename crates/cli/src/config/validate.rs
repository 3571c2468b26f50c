//! `mcp-proxy config validate`: everything that the start of the gateway does, short of serving.
//!
//! It changes nothing: no port is taken, no database created or migrated, no server contacted unless asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use audit::Reader;
use domain::{Health, Probe as _, SystemClock, Upstream as _};
use nix::unistd::{AccessFlags, access};
use observability::Output;
use policy::PolicySet;
use session::{KeyFile, Keys};
use settings::Settings;
use upstream::UpstreamServer;

use super::{load, warn};
use crate::{Exit, output};

/// Options of `config validate`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy config validate --config config/proxy.yaml\n  \
    mcp-proxy config validate --config config/proxy.yaml --check-upstream\n\n\
    Settings, policies with their data, the audit log and the keys of sessions are checked; everything that is \
    wrong is told at once, and nothing is changed. Whether the server's address answers, or its command exists, is looked at with \
    --check-upstream alone. A port that is taken is not noticed.\n\
    Exits 0 when the gateway could start, else 2.")]
pub(crate) struct ValidateArgs {
    /// The configuration file; without one, `MCP_*` and the defaults are checked
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Also look whether the server can be reached, or its command be executed
    #[arg(long)]
    check_upstream: bool,
}

pub(super) fn execute(args: &ValidateArgs) -> anyhow::Result<Exit> {
    let loaded = load(args.config.as_deref())?;
    warn(&loaded);
    let settings = &loaded.settings;
    let checks = [
        ("policy", check_policy(settings)),
        ("audit log", check_audit(&settings.audit)),
        ("session keys", check_keys(settings)),
        ("upstream", check_upstream(settings, args.check_upstream)),
        ("log", check_log(settings)),
    ];
    let from = args
        .config
        .as_ref()
        .map_or("the defaults".to_owned(), |file| format!("`{}`", file.display()));
    output::note(&format!("ok  settings: {from}"));
    let mut problems = Vec::new();
    for (what, checked) in checks {
        match checked {
            Ok(found) => output::note(&format!("ok  {what}: {found}")),
            Err(problem) => problems.push(format!("{problem:#}")),
        }
    }
    if problems.is_empty() {
        return Ok(Exit::Done);
    }
    Err(anyhow!(problems.join("\nerror: ")))
}

fn check_policy(settings: &Settings) -> anyhow::Result<String> {
    if !settings.policy.enabled {
        return Ok("off, every message passes".to_owned());
    }
    let sources = settings.policy.sources()?;
    let set = PolicySet::load(&sources, &settings.policy)?;
    let revision: String = set.revision().to_string().chars().take(12).collect();
    let (mode, files) = (settings.policy.mode.as_str(), sources.policies().len());
    Ok(format!(
        "{mode} mode, {files} files of {}, revision {revision}, engine {}",
        sources.origin(),
        set.engine()
    ))
}

fn check_audit(config: &audit::Config) -> anyhow::Result<String> {
    if !config.enabled {
        return Ok("off, nothing is recorded".to_owned());
    }
    let path = &config.db_path;
    // An empty file becomes a log like a missing one.
    let exists = std::fs::metadata(path).is_ok_and(|found| found.is_dir() || found.len() > 0);
    if exists {
        Reader::open(path)?;
    }
    writable(path).with_context(|| {
        format!("the audit log `{}` cannot be written; see `audit.db_path`", path.display())
    })?;
    Ok(format!("`{}`, {}", path.display(), if exists { "which exists" } else { "to be created" }))
}

fn check_keys(settings: &Settings) -> anyhow::Result<String> {
    let limits = gateway::session_limits(settings);
    let found = Keys::check(&limits)?;
    let (Some(path), Some(found)) = (limits.key_file, found) else {
        return Ok("random, so that sessions end with the process".to_owned());
    };
    let shown = path.display();
    let state = match found {
        KeyFile::Private => "which exists",
        KeyFile::Readable => "which others can read: `chmod 600` it",
        KeyFile::Missing => {
            writable(&path).with_context(|| {
                format!("the key file `{shown}` cannot be created; see `session.key_file`")
            })?;
            "to be created"
        }
    };
    Ok(format!("`{shown}`, {state}"))
}

fn check_log(settings: &Settings) -> anyhow::Result<String> {
    match settings.logging.output {
        Output::File => {
            let path = &settings.logging.file.path;
            writable(path).with_context(|| {
                format!(
                    "the log file `{}` cannot be written; see `logging.file.path`",
                    path.display()
                )
            })?;
            Ok(format!("`{}`", path.display()))
        }
        Output::Stdout => Ok("standard output".to_owned()),
        Output::Stderr => Ok("standard error".to_owned()),
    }
}

/// Whether a file can be written or created, and others beside it.
fn writable(path: &Path) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK)
        .with_context(|| format!("the folder `{}`", folder.display()))?;
    if path.exists() {
        access(path, AccessFlags::W_OK)
            .with_context(|| format!("the file `{}`", path.display()))?;
    }
    Ok(())
}

fn check_upstream(settings: &Settings, contact: bool) -> anyhow::Result<String> {
    if !settings.names_upstream() {
        return Ok("none, so the demo server takes its place".to_owned());
    }
    let config = settings.upstream.clone();
    let server = UpstreamServer::new(config, crate::environment(), Arc::new(SystemClock))?;
    let shown = match server.view().url {
        Some(url) => format!("`{url}`"),
        // Its arguments may be secrets.
        None => format!(
            "the command `{}`",
            settings.upstream.command.first().map_or("", String::as_str)
        ),
    };
    if !contact {
        return Ok(format!("{shown}, not contacted (--check-upstream does)"));
    }
    crate::runtime()?.block_on(server.check());
    match server.health() {
        Health::Up => Ok(format!("{shown}, which can be reached")),
        Health::Down(why) => Err(anyhow!("the server cannot be reached: {why}; see `upstream`")),
    }
}

#[cfg(test)]
mod tests;
