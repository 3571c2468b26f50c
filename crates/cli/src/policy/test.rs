//! `mcp-proxy policy test`: the tests of a folder.

mod watch;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use policy::{Coverage, FileCoverage, TestCase, TestOptions, TestOutcome, TestReport};
use regex::Regex;
use serde_json::{Value, json};

use crate::output::visible;
use crate::report::{self, Finding, Format, Level};
use crate::{Exit, output};

/// Options of `policy test`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy policy test policies\n  \
    mcp-proxy policy test policies --run 'rate_limit' --verbose\n  \
    mcp-proxy policy test policies --threshold 100\n  \
    mcp-proxy policy test policies --watch\n\n\
    A test is a rule `test_…`, and passes when it is true; `todo_test_…` is skipped.\n\
    Exits 0 when all passed, 1 when one failed, there was none, or the coverage is below the threshold, 2 when the \
    folder cannot be loaded.")]
pub(crate) struct TestArgs {
    /// The folder with policies, their tests and data
    dir: PathBuf,

    /// Only tests whose full name (`data.package.test_name`) matches
    #[arg(long, short, value_name = "REGEX")]
    run: Option<Regex>,

    /// List the tests that passed, too
    #[arg(long, short)]
    verbose: bool,

    /// Report which lines of the policies the tests reach
    #[arg(long, short, conflicts_with = "bench")]
    coverage: bool,

    /// The least coverage in percent; below it, the lines that no test reaches are listed
    #[arg(long, value_name = "PERCENT", value_parser = percent, conflicts_with_all = ["bench", "run"])]
    threshold: Option<f64>,

    /// Repeat each test and report its time
    #[arg(long)]
    bench: bool,

    /// Run the tests again whenever a file of the folder changes, until interrupted
    #[arg(long, short)]
    watch: bool,

    /// How the results are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("is no percentage from 0 to 100".to_owned()),
    }
}

pub(super) fn execute(args: &TestArgs) -> anyhow::Result<Exit> {
    if !args.watch {
        return once(args);
    }
    watch::each_change(&args.dir, || {
        // What cannot be loaded now may be in a moment.
        if let Err(error) = once(args) {
            output::error(&error);
        }
    })
}

fn once(args: &TestArgs) -> anyhow::Result<Exit> {
    let wanted = |name: &str| args.run.as_ref().is_none_or(|run| run.is_match(name));
    let coverage = args.coverage || args.threshold.is_some();
    let options = TestOptions { run: Some(&wanted), coverage, bench: args.bench };
    let report = policy::run_tests(&args.dir, options)?;
    match args.format {
        Format::Pretty => output::data(&pretty(&report, args.verbose || args.bench))?,
        Format::Json => output::line(&output::json(&as_json(&report))?)?,
        Format::Junit | Format::Github | Format::Sarif => {
            let findings: Vec<_> = report.cases.iter().map(finding).collect();
            report::write("policy test", &findings, args.format)?;
        }
    }
    if report.cases.is_empty() {
        let dir = args.dir.display();
        output::note(&match &args.run {
            Some(run) => format!("no test in `{dir}` matches `{run}`"),
            None => format!("no test in `{dir}`: write rules `test_…` into a file `*_test.rego`"),
        });
        return Ok(Exit::No);
    }
    let covered = match (&report.coverage, args.threshold) {
        (Some(coverage), Some(threshold)) => reaches(coverage, threshold),
        _ => true,
    };
    Ok(if report.failed() == 0 && covered { Exit::Done } else { Exit::No })
}

/// Whether the coverage is as high as it has to be. If not, says which lines are missing.
fn reaches(coverage: &Coverage, threshold: f64) -> bool {
    let percent = coverage.percent();
    if percent >= threshold {
        return true;
    }
    output::note(&format!(
        "the tests cover {percent:.2} % of the lines, and have to cover {threshold} %:"
    ));
    for file in coverage.files.iter().filter(|file| !file.not_covered.is_empty()) {
        output::note(&format!("  {}: {}", file.file, lines(&file.not_covered)));
    }
    false
}

/// Line numbers, those in a row as `3-5`.
fn lines(numbers: &BTreeSet<u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let run = |(first, last): (u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    runs.into_iter().map(run).collect::<Vec<_>>().join(", ")
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
    if let Some(coverage) = &report.coverage {
        writeln!(text, "coverage: {:.2} %", coverage.percent()).ok();
    }
    text
}

fn push(text: &mut String, case: &TestCase) {
    let (file, line, name) = (visible(&case.file), case.line, case.full_name());
    let elapsed = case.elapsed;
    let outcome = match &case.outcome {
        TestOutcome::Passed => match case.bench {
            Some(bench) => format!("PASS {} runs, {} ns each", bench.runs, bench.nanos_per_run),
            None => format!("PASS ({elapsed:.1?})"),
        },
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
        "coverage": report.coverage.as_ref().map(coverage_as_json),
        "passed": report.passed(),
        "failed": report.failed(),
        "skipped": report.skipped(),
    })
}

fn coverage_as_json(coverage: &Coverage) -> Value {
    let file = |file: &FileCoverage| json!({ "file": file.file, "percent": file.percent(), "covered": file.covered, "not_covered": file.not_covered });
    let files: Vec<_> = coverage.files.iter().map(file).collect();
    json!({ "percent": coverage.percent(), "files": files })
}

fn finding(case: &TestCase) -> Finding {
    let (level, message) = match &case.outcome {
        TestOutcome::Passed => (Level::Passed, "passed".to_owned()),
        TestOutcome::Skipped => (Level::Skipped, "skipped".to_owned()),
        TestOutcome::Failed => (Level::Error, format!("`{}` is not true", case.full_name())),
        TestOutcome::Error(error) => (Level::Error, error.clone()),
    };
    Finding {
        level,
        code: "test-failed".to_owned(),
        subject: case.full_name(),
        file: case.file.clone(),
        line: case.line,
        column: 0,
        message,
        seconds: Some(case.elapsed.as_secs_f64()),
    }
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
        "ns_per_run": case.bench.map(|bench| bench.nanos_per_run),
        "output": case.output,
    })
}

#[cfg(test)]
mod tests;
