//! Compares the gateway with its floor, side by side on one CPU: `make perf`.
//!
//! Builds nothing and judges no time: exit 1 means a wrong or missing answer, or audit rows that do
//! not match the calls made; 2 means that it could not run.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its table goes to stdout")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use benches::load::{self, Plan, Stop};
use benches::process::{Gateway, Process};
use benches::rounds::{self, Table, Target};
use benches::{Error, Transport, pin};
use clap::Parser;
use hyper::Uri;
use serde::Serialize;
use serde_json::{Value, json};

const OFF: &str = "gateway off";
const ON: &str = "gateway on";

/// Measures CPU time a request of the gateway and of its floor.
#[derive(Parser)]
struct Arguments {
    /// The program to measure; without it only the floor is measured.
    #[arg(long, value_name = "PATH")]
    gateway: Option<PathBuf>,
    /// The policies of the run with everything on.
    #[arg(long, value_name = "DIR", default_value = "policies")]
    policies: PathBuf,
    /// Rounds; every target once in each.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds measured of one target in one round.
    #[arg(long, default_value_t = 1.5, value_parser = seconds)]
    duration: f64,
    /// Sessions, each with one call under way.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    conns: u16,
    /// Bytes of the echoed argument.
    #[arg(long = "args", value_name = "BYTES", default_value_t = 200)]
    argument: usize,
    /// Answers are event streams with this many progress events before each result.
    #[arg(long = "stream", value_name = "K", default_value_t = 0)]
    progress: usize,
    /// How clients talk to every target.
    #[arg(long, value_enum, default_value_t = Transport::Http)]
    transport: Transport,
    /// The one CPU that everything runs on.
    #[arg(long, value_name = "CPU", default_value_t = 1)]
    pin: usize,
    /// Also write settings, rounds and figures here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also check that the audit log holds every call: those of the rounds, 3,000 one after
    /// another, and 50,000 from 64 connections.
    #[arg(long, requires = "gateway")]
    audit_check: bool,
}

/// What the check of the audit log saw.
#[derive(Serialize)]
struct Audited {
    /// Calls made to the gateway in its whole life.
    calls: u64,
    /// Rows of calls in its log after it has ended.
    rows: u64,
    /// Wrong and missing answers during the check.
    errors: u64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every answer was right and every call recorded.
fn run(arguments: &Arguments) -> Result<bool, Error> {
    pin(arguments.pin)?;
    let folder = tempfile::tempdir().map_err(Error::io("make a temporary folder"))?;
    let upstream =
        Process::tool("fake_upstream", &["--stream".into(), arguments.progress.to_string()])?;
    let passthrough =
        Process::tool("passthrough", &["--upstream".into(), upstream.address.to_string()])?;
    let off = gateway(arguments, folder.path(), &upstream, None)?;
    let on = gateway(arguments, folder.path(), &upstream, Some(&arguments.policies))?;

    let mut targets = vec![
        target(arguments, "direct", &upstream)?,
        target(arguments, "passthrough", &passthrough)?,
    ];
    for (name, process) in [(OFF, &off), (ON, &on)] {
        if let Some(process) = process {
            targets.push(target(arguments, name, process)?);
        }
    }
    let table = rounds::run(&targets, arguments.rounds)?;
    println!(
        "CPU {}, {} connections, {} B argument, {} progress events, {} rounds of {} s: median [min max]",
        arguments.pin,
        arguments.conns,
        arguments.argument,
        arguments.progress,
        arguments.rounds,
        arguments.duration,
    );
    print!("{table}");
    let mut right = table.errors() == 0;
    let mut audit = Value::Null;
    if let (true, Some(on), Some(target)) = (arguments.audit_check, on, targets.last()) {
        let database = folder.path().join(ON).join("audit.db");
        let audited = audit_check(on, &target.plan, table.sent(ON), &database)?;
        println!(
            "audit: {} calls made, {} rows, {} errors",
            audited.calls, audited.rows, audited.errors
        );
        right &= audited.errors == 0 && audited.calls == audited.rows;
        audit = json!(audited);
    }
    if let Some(path) = &arguments.json {
        write_json(arguments, &table, &audit, path)?;
    }
    Ok(right)
}

/// Starts a gateway in a folder of its own; on when there are policies.
fn gateway(
    arguments: &Arguments,
    folder: &Path,
    upstream: &Process,
    policies: Option<&PathBuf>,
) -> Result<Option<Process>, Error> {
    let Some(program) = &arguments.gateway else {
        return Ok(None);
    };
    let absolute = |path: &PathBuf| {
        path.canonicalize().map_err(Error::io(format!("find `{}`", path.display())))
    };
    let folder = folder.join(if policies.is_some() { ON } else { OFF });
    fs::create_dir(&folder).map_err(Error::io(format!("make `{}`", folder.display())))?;
    Process::gateway(&Gateway {
        program: &absolute(program)?,
        folder: &folder,
        upstream: upstream.address,
        policies: policies.map(absolute).transpose()?.as_deref(),
    })
    .map(Some)
}

fn target(arguments: &Arguments, name: &'static str, process: &Process) -> Result<Target, Error> {
    let path = match arguments.transport {
        Transport::Http => "mcp",
        Transport::Sse => "sse",
    };
    let url = format!("http://{}/{path}", process.address);
    let plan = Plan {
        url: url.parse::<Uri>().map_err(|e| Error::Setup(format!("`{url}`: {e}")))?,
        transport: arguments.transport,
        conns: arguments.conns.into(),
        stop: Stop::After(Duration::from_secs_f64(arguments.duration)),
        warmup: Duration::from_millis(300),
        argument: arguments.argument,
        progress: arguments.progress,
        pids: vec![(name.to_owned(), process.pid())],
    };
    Ok(Target { name, plan })
}

/// Loads the gateway, ends it, and counts what its log holds; `calls` were made before.
fn audit_check(
    gateway: Process,
    plan: &Plan,
    calls: u64,
    database: &Path,
) -> Result<Audited, Error> {
    let mut audited = Audited { calls, rows: 0, errors: 0 };
    for (conns, count) in [(1, 3_000), (64, 50_000)] {
        let stop = Stop::Calls(count);
        let report = load::run(&Plan { conns, stop, warmup: Duration::ZERO, ..plan.clone() })?;
        audited.calls += report.sent;
        audited.errors += report.errors;
        if let Some(error) = report.first_error {
            eprintln!("audit check from {conns} connections: {error}");
        }
    }
    let status = gateway.stop()?;
    if !status.success() {
        return Err(Error::Setup(format!("the gateway ended with {status}")));
    }
    let count = || -> rusqlite::Result<i64> {
        rusqlite::Connection::open(database)?.query_row(
            "select count(*) from audit_log where method = 'tools/call'",
            [],
            |row| row.get(0),
        )
    };
    audited.rows = count().map(i64::cast_unsigned).map_err(|e| {
        Error::Setup(format!("could not count rows in `{}`: {e}", database.display()))
    })?;
    Ok(audited)
}

fn write_json(
    arguments: &Arguments,
    table: &Table,
    audit: &Value,
    path: &Path,
) -> Result<(), Error> {
    let document = json!({
        "cpu": arguments.pin,
        "conns": arguments.conns,
        "argument_bytes": arguments.argument,
        "progress_events": arguments.progress,
        "rounds": arguments.rounds,
        "duration_s": arguments.duration,
        "targets": table,
        "audit": audit,
    });
    fs::write(path, format!("{document:#}\n"))
        .map_err(Error::io(format!("write `{}`", path.display())))
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err(format!("`{text}` is not a number of seconds from 0.1 to 60")),
    }
}
