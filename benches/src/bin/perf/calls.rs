//! CPU time a call, beside the server alone and a bare pass-through.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use benches::load::{self, Plan, Stop};
use benches::process::{Process, Upstream};
use benches::rounds::{self, Table};
use benches::{Error, Transport};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Right;
use crate::setup::{Bench, Programs, ROOM, Rounds, target};

const DIRECT: &str = "direct";
const PASSTHROUGH: &str = "passthrough";
const OFF: &str = "gateway off";
const ON: &str = "gateway on";

/// Without `--gateway` only the floor is measured.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    programs: Programs,
    #[command(flatten)]
    rounds: Rounds,
    /// Answers are event streams with this many progress events before each result.
    #[arg(long = "stream", value_name = "K", default_value_t = 0)]
    progress: usize,
    /// How clients talk to every target.
    #[arg(long, value_enum, default_value_t = Transport::Http)]
    transport: Transport,
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

pub(crate) fn run(arguments: &Arguments) -> Right {
    let bench = Bench::new(&arguments.programs)?;
    let server = Process::tool("fake_upstream", &[format!("--stream={}", arguments.progress)])?;
    let passthrough = Process::tool("passthrough", &[format!("--upstream={}", server.address)])?;
    let upstream = Upstream::Http(server.address);
    let off = bench.bare(OFF, &upstream)?;
    let on = bench.gateway(ON, &upstream, ROOM)?;

    let processes = [
        (DIRECT, Some(&server)),
        (PASSTHROUGH, Some(&passthrough)),
        (OFF, off.as_ref()),
        (ON, on.as_ref()),
    ];
    let mut targets = Vec::new();
    for (name, process) in processes {
        let Some(process) = process else { continue };
        let mut target = target(name, process, arguments.transport, arguments.rounds)?;
        target.plan.progress = arguments.progress;
        targets.push(target);
    }
    let table = rounds::run(&targets, arguments.rounds.rounds, [DIRECT, PASSTHROUGH])?;
    println!(
        "{}, {} progress events: median [min max]",
        arguments.rounds.describe(),
        arguments.progress
    );
    print!("{table}");
    let mut right = table.errors() == 0;
    let mut audit = Value::Null;
    if let (true, Some(on), Some(target)) = (arguments.audit_check, on, targets.last()) {
        let audited = audit_check(&bench, on, &target.plan, table.sent(ON))?;
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

/// Loads the gateway, ends it, and counts what its log holds; `calls` were made before.
fn audit_check(
    bench: &Bench<'_>,
    gateway: Process,
    plan: &Plan,
    calls: u64,
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
    audited.rows = bench.rows(ON, gateway)?;
    Ok(audited)
}

fn write_json(
    arguments: &Arguments,
    table: &Table,
    audit: &Value,
    path: &Path,
) -> Result<(), Error> {
    let document = json!({
        "cpu": arguments.programs.pin,
        "conns": arguments.rounds.conns,
        "argument_bytes": arguments.rounds.argument,
        "progress_events": arguments.progress,
        "rounds": arguments.rounds.rounds,
        "duration_s": arguments.rounds.duration,
        "targets": table,
        "audit": audit,
    });
    fs::write(path, format!("{document:#}\n"))
        .map_err(Error::io(format!("write `{}`", path.display())))
}
