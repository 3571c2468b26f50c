//! `mcp-proxy policy test`: the tests of a folder.

use std::fmt::Write as _;
use std::path::PathBuf;

use policy::{TestCase, TestOutcome, TestReport};
use regex::Regex;
use serde_json::{Value, json};

use crate::output::visible;
use crate::{Exit, Format, output};

/// Options of `policy test`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy policy test policies\n  \
    mcp-proxy policy test policies --run 'rate_limit' --verbose\n\n\
    A test is a rule `test_…`, and passes when it is true; `todo_test_…` is skipped.\n\
    Exits 0 when all passed, 1 when one failed or there was none, 2 when the folder cannot be loaded.")]
pub(crate) struct TestArgs {
    /// The folder with policies, their tests and data
    dir: PathBuf,

    /// Only tests whose full name (`data.package.test_name`) matches
    #[arg(long, short, value_name = "REGEX")]
    run: Option<Regex>,

    /// List the tests that passed, too
    #[arg(long, short)]
    verbose: bool,

    /// Lines for people, or one JSON object with all tests
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn execute(args: &TestArgs) -> anyhow::Result<Exit> {
    let mut report = policy::run_tests(&args.dir)?;
    if let Some(wanted) = &args.run {
        report.cases.retain(|case| wanted.is_match(&full_name(case)));
    }
    match args.format {
        Format::Pretty => output::data(&pretty(&report, args.verbose))?,
        Format::Json => output::line(&output::json(&as_json(&report))?)?,
    }
    if report.cases.is_empty() {
        let dir = args.dir.display();
        output::note(&match &args.run {
            Some(run) => format!("no test in `{dir}` matches `{run}`"),
            None => format!("no test in `{dir}`: write rules `test_…` into a file `*_test.rego`"),
        });
        return Ok(Exit::No);
    }
    Ok(if report.failed() == 0 { Exit::Done } else { Exit::No })
}

fn full_name(case: &TestCase) -> String {
    format!("{}.{}", case.package, case.name)
}

/// One line a test that did not pass, with what it printed; in the end the sums.
fn pretty(report: &TestReport, verbose: bool) -> String {
    let mut text = String::new();
    for case in &report.cases {
        if verbose || matches!(case.outcome, TestOutcome::Failed | TestOutcome::Error(_)) {
            push(&mut text, case);
        }
    }
    let (passed, failed, skipped) = (report.passed(), report.failed(), report.skipped());
    let total = report.cases.len();
    let tests = if total == 1 { "test" } else { "tests" };
    // Writing into a string cannot fail.
    write!(text, "{total} {tests}, {passed} passed, {failed} failed").ok();
    text.push_str(&if skipped == 0 { "\n".to_owned() } else { format!(", {skipped} skipped\n") });
    text
}

fn push(text: &mut String, case: &TestCase) {
    let (file, line, name) = (visible(&case.file), case.line, full_name(case));
    let elapsed = case.elapsed;
    let outcome = match &case.outcome {
        TestOutcome::Passed => format!("PASS ({elapsed:.1?})"),
        TestOutcome::Failed => format!("FAIL ({elapsed:.1?})"),
        TestOutcome::Error(error) => format!("ERROR {}", visible(error)),
        TestOutcome::Skipped => "SKIPPED".to_owned(),
    };
    writeln!(text, "{file}:{line}: {} {outcome}", visible(&name)).ok();
    for printed in &case.output {
        writeln!(text, "  {}", visible(printed)).ok();
    }
}

fn as_json(report: &TestReport) -> Value {
    let tests: Vec<_> = report.cases.iter().map(case_as_json).collect();
    json!({
        "tests": tests,
        "passed": report.passed(),
        "failed": report.failed(),
        "skipped": report.skipped(),
    })
}

fn case_as_json(case: &TestCase) -> Value {
    let (outcome, error) = match &case.outcome {
        TestOutcome::Passed => ("pass", None),
        TestOutcome::Failed => ("fail", None),
        TestOutcome::Error(error) => ("error", Some(error)),
        TestOutcome::Skipped => ("skip", None),
    };
    json!({
        "package": case.package,
        "name": case.name,
        "location": { "file": case.file, "row": case.line },
        "outcome": outcome,
        "error": error,
        "duration_ns": u64::try_from(case.elapsed.as_nanos()).unwrap_or(u64::MAX),
        "output": case.output,
    })
}

#[cfg(test)]
mod tests;
