//! Runs the tests of a policy folder, with the habits of OPA: each rule `test_*` of any package is a test, passes when
//! it is `true`, and is skipped as `todo_test_*`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use domain::{Clock, SystemClock};
use regorus::Value;

use crate::graph::Graph;
use crate::runner::{self, Limits};
use crate::set::{parse_all, texts};
use crate::{Error, Sources, safety};

/// Tests may do more than decisions.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What became of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestOutcome {
    /// The rule is `true`.
    Passed,
    /// The rule is undefined or has another value.
    Failed,
    /// The rule could not be evaluated; the text says why.
    Error(String),
    /// The name begins with `todo_`.
    Skipped,
}

/// One test.
#[derive(Clone, Debug)]
pub struct TestCase {
    /// The package, with `data`.
    pub package: String,
    /// The name of the rule.
    pub name: String,
    /// The file.
    pub file: String,
    /// The line.
    pub line: u32,
    /// What became of it.
    pub outcome: TestOutcome,
    /// How long it took.
    pub elapsed: Duration,
    /// What it printed, with file and line.
    pub output: Vec<String>,
}

/// The tests of a folder, in the order of files and lines.
#[derive(Clone, Debug, Default)]
pub struct TestReport {
    /// The tests.
    pub cases: Vec<TestCase>,
}

impl TestReport {
    /// How many tests passed.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.count(|outcome| *outcome == TestOutcome::Passed)
    }

    /// How many tests failed or could not be evaluated.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.count(|outcome| matches!(outcome, TestOutcome::Failed | TestOutcome::Error(_)))
    }

    /// How many tests are marked `todo_`.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.count(|outcome| *outcome == TestOutcome::Skipped)
    }

    fn count(&self, which: impl Fn(&TestOutcome) -> bool) -> usize {
        self.cases.iter().filter(|case| which(&case.outcome)).count()
    }
}

/// Runs the tests below `dir`.
///
/// # Errors
///
/// When the files cannot be read, parsed or checked: [`Error`] names the place.
pub fn run_tests(dir: &Path) -> Result<TestReport, Error> {
    let sources = Sources::from_dir(dir)?;
    let files: Vec<_> = sources.policies().iter().chain(sources.tests()).cloned().collect();
    let modules = parse_all(&files)?;
    let graph = Graph::new(&modules);
    graph.check(&modules)?;
    safety::check(&modules)?;
    let texts = texts(&graph, &modules, |_| Vec::new());
    let limits = Limits { timeout: TIMEOUT, strict_builtin_errors: false };
    let document = sources.merged_data()?;
    let engine = runner::interpreter(&texts, &document, limits)
        .map_err(|message| Error::Compile { origin: sources.origin().to_owned(), message })?;
    let mut report = TestReport::default();
    let mut seen: BTreeMap<Vec<String>, u32> = BTreeMap::new();
    for definition in graph.definitions() {
        let Some((name, package)) = definition.path.split_last() else { continue };
        let package = format!("data.{}", package.join("."));
        if !name.starts_with("test_") && !name.starts_with("todo_test_") {
            continue;
        }
        let mut case = TestCase {
            file: modules
                .get(definition.module)
                .map(|module| module.file.name.clone())
                .unwrap_or_default(),
            line: definition.span.line,
            outcome: TestOutcome::Skipped,
            elapsed: Duration::ZERO,
            output: Vec::new(),
            name: name.clone(),
            package,
        };
        if let Some(line) = seen.insert(definition.path.clone(), definition.span.line) {
            case.outcome = TestOutcome::Error(format!(
                "a test of this name is on line {line}; give each its own name"
            ));
        } else if !name.starts_with("todo_") {
            run(&mut case, engine.clone());
        }
        report.cases.push(case);
    }
    Ok(report)
}

fn run(case: &mut TestCase, mut engine: regorus::Engine) {
    let clock = SystemClock;
    let started = clock.monotonic();
    let value = engine.eval_rule(format!("{}.{}", case.package, case.name));
    case.elapsed = clock.monotonic().saturating_duration_since(started);
    case.output = engine.take_prints().unwrap_or_default();
    case.outcome = match value {
        Ok(Value::Bool(true)) => TestOutcome::Passed,
        Ok(_) => TestOutcome::Failed,
        Err(error) => TestOutcome::Error(runner::one_line(&error.to_string())),
    };
}

#[cfg(test)]
mod tests;
