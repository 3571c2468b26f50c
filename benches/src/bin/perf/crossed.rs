//! Whether answers, progress or updates cross between clients that all use the same ids.

use std::time::Duration;

use benches::listeners::Listeners;
use benches::load::{self, Plan, Stop};
use benches::process::{Process, Upstream};
use benches::{Error, Transport};

use crate::Right;
use crate::setup::{Bench, Programs, ROOM, arguments as words, url};

/// One update for somebody who listens with so many calls.
const UPDATE_EVERY: u64 = 100;
const LISTENERS: usize = 10;
/// How long the last updates may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Every client counts from 0, its progress tokens too, and every answer has a progress event.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    programs: Programs,
    /// Calls in all: half by stateless clients to one child process, half in sessions over HTTP.
    #[arg(long, default_value_t = 1_000_000)]
    calls: u64,
    /// Clients, each with one call under way.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(2..=1024))]
    clients: u16,
    /// Bytes of the echoed argument.
    #[arg(long = "args", value_name = "BYTES", default_value_t = 64)]
    argument: usize,
}

pub(crate) fn run(arguments: &Arguments) -> Right {
    let bench = Bench::new(&arguments.programs)?;
    let update = UPDATE_EVERY.to_string();
    let child = ["--stdio", "--era=modern", "--stream=1", "--update-every", &update];
    let child = Upstream::Stdio("fake_upstream", words(child));
    let shared = stateless(arguments, &bench, &child)?;
    let server = Process::tool("fake_upstream", &words(["--era=legacy", "--stream=1"]))?;
    let pooled = sessions(arguments, &bench, &Upstream::Http(server.address))?;
    Ok(shared && pooled)
}

/// Stateless clients, and others that listen, share one child of the gateway.
fn stateless(arguments: &Arguments, bench: &Bench<'_>, upstream: &Upstream) -> Right {
    const NAME: &str = "stateless clients, one child";
    let gateway = start(bench, NAME, upstream)?;
    let listeners = Listeners::open(&url(&gateway, Transport::Stateless)?, LISTENERS)?;
    let report = load::run(&plan(arguments, &gateway, Transport::Stateless)?)?;
    let (updates, children) = (report.sent / UPDATE_EVERY, gateway.descendants());
    let heard = listeners.wait(updates, PATIENCE);
    let rows = bench.rows(NAME, gateway)?;
    let crossed = listeners.finish();
    println!(
        "{NAME}: {} calls, {} errors, {rows} rows, {heard} of {updates} updates to {LISTENERS} listeners, {children} child",
        report.sent, report.errors
    );
    for wrong in report.first_error.iter().chain(&crossed.as_ref().map(Error::to_string)) {
        eprintln!("{NAME}: {wrong}");
    }
    let answered = report.errors == 0 && rows == report.sent;
    Ok(answered && heard == updates && crossed.is_none() && children == 1)
}

/// Sessions over HTTP share the gateway's connections to the server.
fn sessions(arguments: &Arguments, bench: &Bench<'_>, upstream: &Upstream) -> Right {
    const NAME: &str = "sessions, pooled HTTP";
    let gateway = start(bench, NAME, upstream)?;
    let report = load::run(&plan(arguments, &gateway, Transport::Http)?)?;
    let rows = bench.rows(NAME, gateway)?;
    println!("{NAME}: {} calls, {} errors, {rows} rows", report.sent, report.errors);
    if let Some(wrong) = &report.first_error {
        eprintln!("{NAME}: {wrong}");
    }
    Ok(report.errors == 0 && rows == report.sent)
}

fn start(bench: &Bench<'_>, name: &str, upstream: &Upstream) -> Result<Process, Error> {
    bench
        .gateway(name, upstream, ROOM.max(2 * 1024))?
        .ok_or_else(|| Error::Setup("nothing to check: add --gateway".to_owned()))
}

fn plan(arguments: &Arguments, gateway: &Process, transport: Transport) -> Result<Plan, Error> {
    Ok(Plan {
        url: url(gateway, transport)?,
        transport,
        conns: arguments.clients.into(),
        stop: Stop::Calls(arguments.calls / 2),
        pace: None,
        warmup: Duration::ZERO,
        argument: arguments.argument,
        progress: 1,
        pids: Vec::new(),
    })
}
