//! The project's own tasks behind the Makefile: what is more than one command is here, one file a task.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task talks to its caller")]

mod bench;
mod check;
mod clients;
mod conformance;
mod docs;
mod gateway;
mod http;
mod judge;
mod layers;
mod perf;
mod process;
mod real_clients;
mod setup;
mod sizes;
mod test;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tasks of the project. `make help` shows the everyday ones.
#[derive(Parser)]
#[command(name = "xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the checks and tests need, where it is missing
    Setup,
    /// Formatting, lints, layers, sizes, licences, generated files
    Check,
    /// The import rules between the workspace's crates
    Layers,
    /// The limits on files and crates
    Sizes,
    /// Every test: cargo, the shipped policies, the official clients
    Test,
    /// The official SDK clients and servers through the gateway
    RealClients {
        /// The binary to test
        #[arg(long, default_value = "target/debug/mcp-proxy")]
        gateway: PathBuf,
    },
    /// The official conformance scenarios, directly and through the gateway
    Conformance {
        /// The binary to test
        #[arg(long, default_value = "target/debug/mcp-proxy")]
        gateway: PathBuf,
    },
    /// The independent tools and the corpus of the shared folder, against the gateway
    Judge {
        /// The folder that holds `tools` and `corpus`
        #[arg(long, env = "MCP_PROXY_SHARED", default_value = "../shared")]
        shared: PathBuf,
        /// The binary to judge; without it, one of the profile `quick` is built
        #[arg(long)]
        gateway: Option<PathBuf>,
        /// Run only these parts
        #[arg(value_enum)]
        parts: Vec<judge::Part>,
    },
    /// The time of every step, and its instructions
    Bench,
    /// CPU time a request beside a bare pass-through
    Perf,
    /// API documentation, and every generated file anew
    Docs,
}

fn main() -> ExitCode {
    match run(Args::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Setup => setup::run(),
        Task::Check => check::run(),
        Task::Layers => layers::run(),
        Task::Sizes => sizes::run(),
        Task::Test => test::run(),
        Task::RealClients { gateway } => real_clients::run(&gateway),
        Task::Conformance { gateway } => conformance::run(&gateway),
        Task::Judge { shared, gateway, parts } => judge::run(&shared, gateway.as_deref(), &parts),
        Task::Bench => bench::run(),
        Task::Perf => perf::run(),
        Task::Docs => docs::run(),
    }
}

#[cfg(test)]
mod tests;
