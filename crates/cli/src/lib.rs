//! The command line of `mcp-proxy`: one file a command, and the only crate that prints.
//!
//! Data goes to standard output, talk to standard error. Every command ends in an exit code: 0 is
//! done, allowed, valid; 1 is the honest no (denied, tests failed); 2 is "could not answer" (usage,
//! files, configuration, I/O).

mod approvals;
mod audit;
mod call;
mod config;
mod demo;
mod explain;
mod lockdown;
mod output;
mod policy;
mod report;
mod run;
mod shell;
mod wrap;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, Subcommand};

/// How a command ends when it could answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Done, allowed, valid.
    Done,
    /// The honest no.
    No,
    /// Another code, after the command has said why.
    Code(u8),
}

/// The exit code of a command that could not answer.
const COULD_NOT_ANSWER: u8 = 2;

/// The gateway between AI agents and MCP servers: Rego decides each message, SQLite remembers it
#[derive(Debug, Parser)]
#[command(
    name = "mcp-proxy",
    version,
    args_conflicts_with_subcommands = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, allowed, valid; 1 denied, failed; 2 could not answer.\n\
                  Use -h for short descriptions and --help for more details."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default command)
    Run(run::RunArgs),
    /// Serve the client that starts this process, over standard input and output
    Wrap(wrap::WrapArgs),
    /// Check, show and create the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Check, test, evaluate, replay and learn policies
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Answer messages that wait for a person
    #[command(subcommand)]
    Approvals(approvals::ApprovalsCommand),
    /// Deny everything but ping, at once
    Lockdown(lockdown::LockdownArgs),
    /// Read the audit log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Call a method or a tool, as an agent would
    Call(call::CallArgs),
    /// Serve a small MCP server to try the gateway on
    DemoServer(demo::DemoArgs),
    /// Explain an error kind
    Explain(explain::ExplainArgs),
    /// Print a completion script for a shell
    Completions(shell::CompletionsArgs),
    /// Print the manual page of a command
    Man(shell::ManArgs),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let outcome = match cli.command {
        None => run::execute(cli.run),
        Some(Command::Run(args)) => run::execute(args),
        Some(Command::Wrap(args)) => wrap::execute(args),
        Some(Command::Config(command)) => config::execute(command),
        Some(Command::Policy(command)) => policy::execute(command),
        Some(Command::Approvals(command)) => approvals::execute(command),
        Some(Command::Lockdown(args)) => lockdown::execute(&args),
        Some(Command::Audit(command)) => audit::execute(command),
        Some(Command::Call(args)) => call::execute(args),
        Some(Command::DemoServer(args)) => demo::execute(args),
        Some(Command::Explain(args)) => explain::execute(&args),
        Some(Command::Completions(args)) => shell::completions(&args),
        Some(Command::Man(args)) => shell::manual(&args),
    };
    match outcome {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::No) => ExitCode::from(1),
        Ok(Exit::Code(code)) => ExitCode::from(code),
        Err(error) => {
            output::error(&error);
            ExitCode::from(COULD_NOT_ANSWER)
        }
    }
}

/// Reads the arguments, of which the first is the program.
fn parse<T>(arguments: impl IntoIterator<Item = T>) -> Result<Cli, clap::Error>
where
    T: Into<OsString> + Clone,
{
    Cli::try_parse_from(arguments).map_err(|mut error| {
        if misses_dashes(&error) {
            let tip = StyledStr::from("write the server's command after `--`");
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
        }
        error
    })
}

/// Whether what is wrong is a word, at a command that takes the server's own after `--`.
fn misses_dashes(error: &clap::Error) -> bool {
    let text = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    error.kind() == ErrorKind::UnknownArgument
        && !text(ContextKind::InvalidArg).starts_with('-')
        && text(ContextKind::Usage).contains("[-- <COMMAND>...]")
}

/// The runtime of a command: one thread, this one.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// The environment of this process.
fn environment() -> BTreeMap<String, String> {
    settings::process_environment().collect()
}

/// How a command writes its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    #[default]
    Pretty,
    /// For programs
    Json,
}

#[cfg(test)]
mod tests;
