//! Runs the tests of a policy folder, with the habits of OPA: each rule `test_*` of any package is a test, passes when
//! it is `true`, and is skipped as `todo_test_*`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use domain::{Clock, SystemClock};
use rego::definition::Definition;
use rego::syntax::Module;
use rego::{Checked, Coverage};
use regorus::Value;

use crate::runner::{self, Limits};
use crate::set::texts;
use crate::{Error, Sources};

/// Tests may do more than decisions.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long and how often a test is repeated to measure it.
const BENCH: Duration = Duration::from_millis(100);
const BENCH_RUNS: u32 = 100_000;

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
    /// How fast it is, when that was asked.
    pub bench: Option<Bench>,
}

impl TestCase {
    /// The path of the rule: package and name.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.package, self.name)
    }
}

/// How fast a test is, evaluated by the interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bench {
    /// How often it ran.
    pub runs: u32,
    /// Nanoseconds a run.
    pub nanos_per_run: u64,
}

/// The tests of a folder, in the order of files and lines.
#[derive(Clone, Debug, Default)]
pub struct TestReport {
    /// The tests.
    pub cases: Vec<TestCase>,
    /// Which lines of the policies were reached, when that was asked.
    pub coverage: Option<Coverage>,
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

/// What to do besides running the tests.
#[derive(Clone, Copy, Default)]
pub struct TestOptions<'a> {
    /// Only the tests whose full name (`data.package.test_name`) this accepts.
    pub run: Option<&'a dyn Fn(&str) -> bool>,
    /// Tell which lines of the policies were reached.
    pub coverage: bool,
    /// Repeat each test that passes and measure it.
    pub bench: bool,
}

impl fmt::Debug for TestOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestOptions")
            .field("run", &self.run.is_some())
            .field("coverage", &self.coverage)
            .field("bench", &self.bench)
            .finish()
    }
}

/// Runs the tests below `dir`.
///
/// # Errors
///
/// When the files cannot be read, parsed or checked: [`Error`] names the place.
pub fn run_tests(dir: &Path, options: TestOptions<'_>) -> Result<TestReport, Error> {
    let sources = Sources::from_dir(dir)?;
    let Checked { modules, graph, .. } = rego::load_with_tests(&sources)?;
    let texts = texts(&graph, &modules, |_| Vec::new());
    let limits = Limits {
        timeout: TIMEOUT,
        max_instructions: usize::MAX,
        max_input: usize::MAX,
        strict_builtin_errors: false,
    };
    let document = sources.merged_data()?;
    let mut engine = runner::interpreter(&texts, &document, limits)
        .map_err(|message| Error::Compile { origin: sources.origin().to_owned(), message })?;
    engine.set_enable_coverage(options.coverage);
    let mut report = TestReport::default();
    let mut seen: BTreeMap<Vec<String>, u32> = BTreeMap::new();
    let mut reached: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for definition in graph.definitions() {
        let Some(mut case) = case(definition, &modules) else { continue };
        if options.run.is_some_and(|accepts| !accepts(&case.full_name())) {
            continue;
        }
        if let Some(line) = seen.insert(definition.path.clone(), definition.span.line) {
            case.outcome = TestOutcome::Error(format!(
                "a test of this name is on line {line}; give each its own name"
            ));
        } else if !case.name.starts_with("todo_") {
            let mut engine = engine.clone();
            run(&mut case, &mut engine);
            if options.coverage {
                add_reached(&engine, &mut reached);
            }
            if options.bench && case.outcome == TestOutcome::Passed {
                case.bench = Some(bench(&case, &mut engine));
            }
        }
        report.cases.push(case);
    }
    if options.coverage {
        let of_policies =
            |module: &&Module| sources.policies().iter().any(|it| it.name == module.file.name);
        report.coverage = Some(Coverage::of(modules.iter().filter(of_policies), &reached));
    }
    Ok(report)
}

/// The test that a definition is, not yet run; `None` when it is none.
fn case(definition: &Definition, modules: &[Module]) -> Option<TestCase> {
    let (name, package) = definition.path.split_last()?;
    if !name.starts_with("test_") && !name.starts_with("todo_test_") {
        return None;
    }
    Some(TestCase {
        package: format!("data.{}", package.join(".")),
        name: name.clone(),
        file: modules.get(definition.module)?.file.name.clone(),
        line: definition.span.line,
        outcome: TestOutcome::Skipped,
        elapsed: Duration::ZERO,
        output: Vec::new(),
        bench: None,
    })
}

fn run(case: &mut TestCase, engine: &mut regorus::Engine) {
    let clock = SystemClock;
    let started = clock.monotonic();
    let value = engine.eval_rule(case.full_name());
    case.elapsed = clock.monotonic().saturating_duration_since(started);
    case.output = engine.take_prints().unwrap_or_default();
    case.outcome = match value {
        Ok(Value::Bool(true)) => TestOutcome::Passed,
        Ok(_) => TestOutcome::Failed,
        Err(error) => TestOutcome::Error(runner::one_line(&error.to_string())),
    };
}

/// Adds the lines on which this engine evaluated something.
fn add_reached(engine: &regorus::Engine, reached: &mut BTreeMap<String, BTreeSet<u32>>) {
    for file in engine.get_coverage_report().map(|report| report.files).unwrap_or_default() {
        reached.entry(file.path).or_default().extend(file.covered);
    }
}

/// Repeats a test for a while.
fn bench(case: &TestCase, engine: &mut regorus::Engine) -> Bench {
    let clock = SystemClock;
    let name = case.full_name();
    engine.set_enable_coverage(false);
    let started = clock.monotonic();
    let mut runs = 0;
    loop {
        // What it says is known, and what it prints was printed.
        engine.eval_rule(name.clone()).ok();
        engine.take_prints().ok();
        runs += 1;
        let elapsed = clock.monotonic().saturating_duration_since(started);
        if elapsed >= BENCH || runs == BENCH_RUNS {
            let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
            return Bench { runs, nanos_per_run: nanos / u64::from(runs) };
        }
    }
}

#[cfg(test)]
mod tests;
