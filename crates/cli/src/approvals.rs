//! `mcp-proxy approvals`: messages that wait for a person.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use approval::{ApprovalStore, Filter, Grant, Question, Scope, State};
use domain::{Span, SystemClock};

use crate::output::visible;
use crate::{Exit, Format, config, output};

/// The commands below `approvals`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// Show what waits, or what became of it
    List(ListArgs),
    /// Let a message pass
    Grant(GrantArgs),
    /// Refuse a message, or take a grant back
    Deny(DenyArgs),
}

/// Where the questions are.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Store")]
struct StoreArgs {
    /// The SQLite file [default: `approval.db_path` of the configuration]
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    db: Option<PathBuf>,

    /// The configuration file that names it; without one, `MCP_*` and the defaults do
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Options of `approvals list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Also what was answered or has expired
    #[arg(long, short)]
    all: bool,

    /// Only the questions of this agent
    #[arg(long, value_name = "ID")]
    agent: Option<String>,

    /// A block for each question, or one JSON array
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    #[command(flatten)]
    store: StoreArgs,
}

/// Options of `approvals grant`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy approvals grant 0b5a7c1e\n  \
    mcp-proxy approvals grant 0b5a7c1e --scope tool --for 8h --uses 20 --note 'release day'\n\n\
    Without options, exactly the message that was asked about may pass, once, within the next hour.")]
pub(crate) struct GrantArgs {
    /// The question, as `approvals list` and the agent's error name it; its beginning is enough
    id: String,

    /// What is granted: this call, any arguments of the tool, or any tool of the server for the agent
    #[arg(long, value_parser = scope, default_value = "arguments")]
    scope: Scope,

    /// How long the grant is good
    #[arg(long = "for", value_name = "SPAN", default_value = "1h")]
    lasts: Span,

    /// How many messages it lets pass; 0 is any number
    #[arg(long, value_name = "N", default_value_t = 1)]
    uses: u32,

    /// Why
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,

    #[command(flatten)]
    store: StoreArgs,
}

/// Options of `approvals deny`.
#[derive(Debug, clap::Args)]
pub(crate) struct DenyArgs {
    /// The question, as `approvals list` and the agent's error name it; its beginning is enough
    id: String,

    /// Why
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,

    #[command(flatten)]
    store: StoreArgs,
}

fn scope(text: &str) -> Result<Scope, String> {
    let known = || Scope::ALL.map(Scope::as_str).join("`, `");
    let found = Scope::ALL.into_iter().find(|scope| scope.as_str() == text);
    found.ok_or_else(|| format!("is none of `{}`", known()))
}

impl StoreArgs {
    fn open(&self) -> anyhow::Result<ApprovalStore> {
        let (path, config) = match &self.db {
            Some(path) => (path.clone(), approval::Config::default()),
            None => {
                let settings = config::load(self.config.as_deref())?.settings;
                (settings.approval.path(&settings.audit.db_path), settings.approval)
            }
        };
        std::fs::metadata(&path).with_context(|| {
            format!(
                "no approvals at `{}`: no message has asked for one yet, or it is another file",
                path.display()
            )
        })?;
        Ok(ApprovalStore::open(&path, &config, Arc::new(SystemClock))?)
    }
}

pub(crate) fn execute(command: ApprovalsCommand) -> anyhow::Result<Exit> {
    match command {
        ApprovalsCommand::List(args) => list(&args)?,
        ApprovalsCommand::Grant(args) => {
            let grant = Grant {
                scope: args.scope,
                lasts: args.lasts.duration(),
                uses: NonZeroU32::new(args.uses),
                by: person(),
                note: args.note,
            };
            answered(&args.store.open()?.grant(&args.id, &grant)?);
        }
        ApprovalsCommand::Deny(args) => {
            answered(&args.store.open()?.deny(&args.id, &person(), args.note.as_deref())?);
        }
    }
    Ok(Exit::Done)
}

/// Who answers: whoever runs the command.
fn person() -> String {
    let environment = crate::environment();
    let name = environment.get("SUDO_USER").or_else(|| environment.get("USER"));
    name.cloned().unwrap_or_else(|| "unknown".to_owned())
}

fn answered(question: &Question) {
    let until = question.granted_until.as_deref().unwrap_or(&question.expires_at);
    output::note(&format!("{} is {} until {until}", question.id, question.state.as_str()));
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let state = if args.all { None } else { Some(State::Pending) };
    let filter = Filter { state, agent: args.agent.clone(), ..Filter::default() };
    let questions = args.store.open()?.list(&filter)?;
    match args.format {
        Format::Json => output::line(&output::json(&questions)?),
        Format::Pretty if questions.is_empty() => {
            output::note("nothing waits for an approval");
            Ok(())
        }
        Format::Pretty => output::data(&questions.iter().map(block).collect::<String>()),
    }
}

fn block(question: &Question) -> String {
    let Question { id, state, agent, server, method, .. } = question;
    let what = question.tool.as_deref().or(question.target.as_deref()).unwrap_or_default();
    let mut text = format!(
        "{id}  {}  {} asks for {} {} at {}\n",
        state.as_str(),
        visible(agent),
        visible(method),
        visible(what),
        visible(server)
    );
    let mut line = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            // Writing into a string cannot fail.
            writeln!(text, "  {name:<10} {}", visible(value)).ok();
        }
    };
    line("arguments", question.arguments.as_deref());
    line("message", question.message.as_deref());
    line("asked", Some(&question.asked_at));
    line("until", Some(question.granted_until.as_deref().unwrap_or(&question.expires_at)));
    line("answered", question.decided_by.as_deref());
    line("note", question.note.as_deref());
    text
}

#[cfg(test)]
mod tests;
