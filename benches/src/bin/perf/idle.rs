//! Memory of sessions that only keep a stream open, and what a call costs beside them.

use std::time::Duration;

use benches::idle::{Held, raise_open_files};
use benches::process::{Process, Upstream};
use benches::rounds;
use benches::{Error, Transport, load, resident};

use crate::Right;
use crate::setup::{Bench, Programs, Rounds, arguments as words, target, url};

const PASSTHROUGH: &str = "passthrough";
const GATEWAY: &str = "gateway";
/// Descriptors of a process that are no session's.
const RESERVE: usize = 400;
/// What is still under way when the last session has opened, or has left, ends in this time.
const SETTLE: Duration = Duration::from_secs(2);

/// Without `--gateway` only the pass-through is measured.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    programs: Programs,
    #[command(flatten)]
    rounds: Rounds,
    /// Sessions that each target holds.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
}

pub(crate) fn run(arguments: &Arguments) -> Right {
    let bench = Bench::new(&arguments.programs)?;
    let files = usize::try_from(raise_open_files()?).unwrap_or(usize::MAX);
    // Two connections a session in the target: the client's stream, and the server's.
    let one = arguments.sessions.min(files.saturating_sub(RESERVE));
    let both = arguments.sessions.min(files.saturating_sub(RESERVE) / 2);
    let server = Process::tool("fake_upstream", &words(["--era=legacy", "--get-stream"]))?;
    let silent = Process::tool("fake_upstream", &words(["--era=legacy"]))?;
    let upstream = Upstream::Http(server.address);
    let room = arguments.sessions + RESERVE;
    let passthrough = || Process::tool("passthrough", &[format!("--upstream={}", server.address)]);
    println!("idle sessions, each with its stream open; a process may open {files} files");
    println!(
        "{:<28} {:>9} {:>12} {:>10} {:>6}",
        "target", "sessions", "KiB/session", "KiB empty", "lost"
    );
    let floor = passthrough()?;
    let holding = passthrough()?;
    let mut lost = hold(arguments, PASSTHROUGH, &holding, both)?.lost();
    drop(holding);
    let mut targets = vec![target(PASSTHROUGH, &floor, Transport::Http, arguments.rounds)?];
    let mut held = None;
    let alone = bench.gateway(GATEWAY, &upstream, room)?;
    if let Some(gateway) = bench.gateway("without", &Upstream::Http(silent.address), room)? {
        lost += hold(arguments, "gateway, no server stream", &gateway, one)?.lost();
    }
    let loaded = bench.gateway("idle", &upstream, room)?;
    if let (Some(alone), Some(loaded)) = (&alone, &loaded) {
        held = Some(hold(arguments, GATEWAY, loaded, both)?);
        targets.push(target(GATEWAY, alone, Transport::Http, arguments.rounds)?);
        targets.push(target("gateway + idle", loaded, Transport::Http, arguments.rounds)?);
    }
    let table = rounds::run(&targets, arguments.rounds.rounds, [PASSTHROUGH, GATEWAY])?;
    lost += held.as_ref().map_or(0, Held::lost);
    println!("a call beside them; {}: median [min max]", arguments.rounds.describe());
    print!("{table}");
    println!("{lost} streams lost in the end");
    Ok(lost == 0 && table.errors() == 0)
}

/// Lets a process hold sessions, and says what they take.
fn hold(
    arguments: &Arguments,
    name: &str,
    process: &Process,
    sessions: usize,
) -> Result<Held, Error> {
    // What the first calls allocate for good is no session's.
    let warm = target(GATEWAY, process, Transport::Http, arguments.rounds)?;
    load::run(&warm.plan)?;
    let empty = resident(process.pid())?;
    let held = Held::open(&url(process, Transport::Http)?, sessions)?;
    std::thread::sleep(SETTLE);
    let full = resident(process.pid())?;
    let each = full.saturating_sub(empty) as f64 / sessions as f64;
    println!("{name:<28} {sessions:>9} {each:>12.1} {empty:>10} {:>6}", held.lost());
    Ok(held)
}
