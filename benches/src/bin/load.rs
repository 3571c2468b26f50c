//! The load generator as a program; prints one line of JSON and exits 1 on any wrong answer.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its report goes to stdout")]

use std::process::ExitCode;
use std::time::Duration;

use benches::load::{self, Plan, Stop};
use benches::{Error, Transport};
use clap::Parser;
use hyper::Uri;

/// Calls the tool `echo` of an MCP server in a closed loop and checks every answer.
#[derive(Parser)]
struct Arguments {
    /// The MCP endpoint, such as http://127.0.0.1:3000/mcp.
    #[arg(long)]
    url: Uri,
    /// How to talk to it.
    #[arg(long, value_enum, default_value_t = Transport::Http)]
    transport: Transport,
    /// Sessions, each with its own connection and one call under way.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    conns: u16,
    /// Seconds to measure.
    #[arg(long, default_value = "1.5", value_parser = seconds)]
    duration: Duration,
    /// Measure this many calls, all sessions together, instead of a time.
    #[arg(long, conflicts_with = "duration")]
    requests: Option<u64>,
    /// Seconds of checked but unmeasured calls first.
    #[arg(long, default_value = "0.3", value_parser = seconds)]
    warmup: Duration,
    /// Bytes of the echoed argument.
    #[arg(long = "args", value_name = "BYTES", default_value_t = 200)]
    argument: usize,
    /// Expect event-stream answers with this many progress events before each result.
    #[arg(long = "stream", value_name = "K", default_value_t = 0)]
    progress: usize,
    /// Take the CPU time of this process and its descendants; repeatable.
    #[arg(long = "pid", value_name = "NAME=PID", value_parser = named_pid)]
    pids: Vec<(String, i32)>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = Plan {
        url: arguments.url,
        transport: arguments.transport,
        conns: arguments.conns.into(),
        stop: arguments.requests.map_or(Stop::After(arguments.duration), Stop::Calls),
        pace: None,
        warmup: arguments.warmup,
        argument: arguments.argument,
        progress: arguments.progress,
        pids: arguments.pids,
    };
    match report(&plan) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every answer was right.
fn report(plan: &Plan) -> Result<bool, Error> {
    let report = load::run(plan)?;
    let line = serde_json::to_string(&report).map_err(|e| Error::Setup(e.to_string()))?;
    println!("{line}");
    Ok(report.errors == 0)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

fn named_pid(text: &str) -> Result<(String, i32), String> {
    text.split_once('=')
        .and_then(|(name, pid)| Some((name.to_owned(), pid.parse().ok()?)))
        .ok_or_else(|| format!("`{text}` is not NAME=PID"))
}
