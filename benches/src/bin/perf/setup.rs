//! What the measurements have in common: the programs, the load, and the rows in the log.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use benches::load::{Plan, Stop};
use benches::process::{Gateway, Process, Upstream};
use benches::rounds::Target;
use benches::{Error, Transport};
use hyper::Uri;
use tempfile::TempDir;

/// The gateway under measurement.
#[derive(clap::Args)]
pub(crate) struct Programs {
    /// The program to measure.
    #[arg(long, value_name = "PATH")]
    pub(crate) gateway: Option<PathBuf>,
    /// The policies of a gateway with everything on.
    #[arg(long, value_name = "DIR", default_value = "policies")]
    policies: PathBuf,
    /// The one CPU that everything runs on.
    #[arg(long, value_name = "CPU", default_value_t = 1)]
    pub(crate) pin: usize,
}

/// How often, how long and how much.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Rounds {
    /// Rounds; every target once in each.
    #[arg(long, default_value_t = 7)]
    pub(crate) rounds: usize,
    /// Seconds measured of one target in one round.
    #[arg(long, default_value_t = 1.5, value_parser = seconds)]
    pub(crate) duration: f64,
    /// Clients, each with one call under way.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) conns: u16,
    /// Bytes of the echoed argument.
    #[arg(long = "args", value_name = "BYTES", default_value_t = 200)]
    pub(crate) argument: usize,
}

impl Rounds {
    /// The load in words, as a headline.
    pub(crate) fn describe(&self) -> String {
        let Self { rounds, duration, conns, argument } = self;
        format!("{conns} connections, {argument} B argument, {rounds} rounds of {duration} s")
    }
}

/// Starts gateways, each in a folder of its own that ends with this value.
pub(crate) struct Bench<'a> {
    programs: &'a Programs,
    folder: TempDir,
}

impl<'a> Bench<'a> {
    /// Everything runs on one CPU from now on.
    pub(crate) fn new(programs: &'a Programs) -> Result<Self, Error> {
        benches::pin(programs.pin)?;
        let folder = tempfile::tempdir().map_err(Error::io("make a temporary folder"))?;
        Ok(Self { programs, folder })
    }

    /// Starts a gateway with everything on; `None` when there is no program to measure.
    pub(crate) fn gateway(
        &self,
        name: &str,
        upstream: &Upstream,
        clients: usize,
    ) -> Result<Option<Process>, Error> {
        self.start(name, upstream, clients, Some(&self.programs.policies))
    }

    /// The same with policies of the caller's.
    pub(crate) fn gateway_on(
        &self,
        name: &str,
        upstream: &Upstream,
        policies: &PathBuf,
    ) -> Result<Process, Error> {
        let none = || Error::Setup("nothing to check: add --gateway".to_owned());
        self.start(name, upstream, ROOM, Some(policies))?.ok_or_else(none)
    }

    /// A folder that ends with the measurement.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The policies of a gateway with everything on.
    pub(crate) fn policies(&self) -> &Path {
        &self.programs.policies
    }

    /// The same with policy, audit log and metrics off.
    pub(crate) fn bare(&self, name: &str, upstream: &Upstream) -> Result<Option<Process>, Error> {
        self.start(name, upstream, ROOM, None)
    }

    fn start(
        &self,
        name: &str,
        upstream: &Upstream,
        clients: usize,
        policies: Option<&PathBuf>,
    ) -> Result<Option<Process>, Error> {
        let Some(program) = &self.programs.gateway else {
            return Ok(None);
        };
        let absolute = |path: &PathBuf| {
            path.canonicalize().map_err(Error::io(format!("find `{}`", path.display())))
        };
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).map_err(Error::io(format!("make `{}`", folder.display())))?;
        Process::gateway(&Gateway {
            program: &absolute(program)?,
            folder: &folder,
            upstream,
            policies: policies.map(absolute).transpose()?.as_deref(),
            clients,
        })
        .map(Some)
    }

    /// Ends a gateway; returns how many calls its audit log holds.
    pub(crate) fn rows(&self, name: &str, gateway: Process) -> Result<u64, Error> {
        let status = gateway.stop()?;
        if !status.success() {
            return Err(Error::Setup(format!("the gateway ended with {status}")));
        }
        self.count(name, "select count(*) from audit_log where method = 'tools/call'")
    }

    /// The number that a query of a gateway's audit log gives.
    pub(crate) fn count(&self, name: &str, query: &str) -> Result<u64, Error> {
        let database = self.folder.path().join(name).join("audit.db");
        let number = || -> rusqlite::Result<i64> {
            rusqlite::Connection::open(&database)?.query_row(query, [], |row| row.get(0))
        };
        number().map(i64::cast_unsigned).map_err(|e| {
            Error::Setup(format!("could not count rows in `{}`: {e}", database.display()))
        })
    }
}

/// Connections and sessions that a gateway needs for ordinary load.
pub(crate) const ROOM: usize = 1000;

/// The load on one target.
pub(crate) fn target(
    name: &'static str,
    process: &Process,
    transport: Transport,
    rounds: Rounds,
) -> Result<Target, Error> {
    let plan = Plan {
        url: url(process, transport)?,
        transport,
        conns: rounds.conns.into(),
        stop: Stop::After(Duration::from_secs_f64(rounds.duration)),
        pace: None,
        warmup: Duration::from_millis(300),
        argument: rounds.argument,
        progress: 0,
        pids: vec![(name.to_owned(), process.pid())],
    };
    Ok(Target { name, plan })
}

/// Where a process serves MCP.
pub(crate) fn url(process: &Process, transport: Transport) -> Result<Uri, Error> {
    let url = format!("http://{}{}", process.address, transport.path());
    url.parse().map_err(|e| Error::Setup(format!("`{url}`: {e}")))
}

/// The arguments of a tool.
pub(crate) fn arguments<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err(format!("`{text}` is not a number of seconds from 0.1 to 60")),
    }
}
