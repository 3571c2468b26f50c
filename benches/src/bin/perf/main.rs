//! Measures the gateway beside its floor, on one CPU: `make perf`.
//!
//! Builds nothing and judges no time: exit 1 means a wrong, crossed or missing answer, or audit rows
//! that do not match the calls made; 2 means that it could not run.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its tables go to stdout")]

mod bridge;
mod calls;
mod crossed;
mod idle;
mod reload;
mod setup;

use std::process::ExitCode;

use benches::Error;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures the gateway and its floor")]
struct Arguments {
    #[command(subcommand)]
    measurement: Measurement,
}

#[derive(Subcommand)]
enum Measurement {
    /// CPU time a call, beside the server alone and a bare pass-through
    Calls(calls::Arguments),
    /// CPU time a call from one era to the other, beside calls within one
    Bridge(bridge::Arguments),
    /// Whether answers cross between clients that all count alike
    Crossed(crossed::Arguments),
    /// Memory of idle sessions, and what a call costs beside them
    Idle(idle::Arguments),
    /// Calls while the policies are exchanged
    Reload(reload::Arguments),
}

fn main() -> ExitCode {
    let right = match Arguments::parse().measurement {
        Measurement::Calls(arguments) => calls::run(&arguments),
        Measurement::Bridge(arguments) => bridge::run(&arguments),
        Measurement::Crossed(arguments) => crossed::run(&arguments),
        Measurement::Idle(arguments) => idle::run(&arguments),
        Measurement::Reload(arguments) => reload::run(&arguments),
    };
    match right {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// What every measurement returns: whether every answer was right, and every call recorded.
type Right = Result<bool, Error>;
