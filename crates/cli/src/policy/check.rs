//! `mcp-proxy policy check`: everything that is wrong with a set of policies.

use std::path::PathBuf;

use rego::{Diagnostic, Error, Report, Severity, Sources};
use serde_json::json;

use crate::report::{self, Finding, Format, Level};
use crate::{Exit, config, output};

/// Options of `policy check`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy policy check policies\n  \
    mcp-proxy policy check --strict policies --format github\n\n\
    What is checked: syntax, cycles, unknown functions and wrong numbers of arguments, unsafe variables, fields that \
    `input` does not have, fields that the stage of a rule does not have. With --strict also what works but is hardly \
    meant: unused imports and variables, comparisons that can never hold, old Rego.\n\
    Exits 0 when the gateway would load the set (with --strict: when there is nothing to say), 1 when not, 2 when there \
    is no such folder.")]
pub(crate) struct CheckArgs {
    /// Folders with policies, their tests and data [default: as configured]
    #[arg(conflicts_with = "config")]
    dirs: Vec<PathBuf>,

    /// Treat warnings as errors, and look for more of them
    #[arg(long, short = 'S')]
    strict: bool,

    /// The configuration file whose policies are checked; without one, `MCP_*` and the defaults name them
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// How the findings are written
    #[arg(long, short, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn execute(args: &CheckArgs) -> anyhow::Result<Exit> {
    let mut diagnostics = Vec::new();
    let mut files = 0;
    for sources in sources(args)? {
        let report = match sources {
            Ok(sources) => {
                files += sources.policies().len() + sources.tests().len();
                rego::check(&sources, args.strict)
            }
            Err(Error::Refused(refused)) => Report::new(refused),
            Err(other) => return Err(other.into()),
        };
        diagnostics.extend(report.diagnostics);
    }
    let wrong = diagnostics.iter().any(|it| args.strict || it.severity == Severity::Error);
    match args.format {
        Format::Pretty => {
            for it in &diagnostics {
                output::line(&pretty(it))?;
            }
            output::note(&summary(files, &diagnostics));
        }
        Format::Json => output::line(&output::json(&json!({ "diagnostics": diagnostics }))?)?,
        Format::Junit | Format::Github | Format::Sarif => {
            let findings: Vec<_> = diagnostics.iter().map(finding).collect();
            report::write("policy check", &findings, args.format)?;
        }
    }
    Ok(if wrong { Exit::No } else { Exit::Done })
}

fn sources(args: &CheckArgs) -> anyhow::Result<Vec<Result<Sources, Error>>> {
    if args.dirs.is_empty() {
        return Ok(vec![config::load(args.config.as_deref())?.settings.policy.sources()]);
    }
    Ok(args.dirs.iter().map(|dir| Sources::from_dir(dir)).collect())
}

fn pretty(it: &Diagnostic) -> String {
    format!("{}[{}]: {}", it.severity, it.code, it)
}

fn summary(files: usize, diagnostics: &[Diagnostic]) -> String {
    let count = |severity| diagnostics.iter().filter(|it| it.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    format!("{files} files, {errors} errors, {warnings} warnings")
}

fn finding(it: &Diagnostic) -> Finding {
    Finding {
        level: match it.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
        },
        code: it.code.to_owned(),
        subject: String::new(),
        file: it.file.clone(),
        line: it.line,
        column: it.column,
        message: format!("{}; {}", it.message, it.hint),
        seconds: None,
    }
}

#[cfg(test)]
mod tests;
