//! The check of a set: everything that is wrong with it, not only the first thing.
//!
//! What serves is checked by [`load`], which refuses errors and logs warnings. [`check`] also looks at the tests and,
//! when asked to be strict, at what works but is hardly meant. A file that cannot be parsed hides the rules in it, so
//! while there is one, nothing is said about references. Nothing here evaluates.

mod resolve;
mod rules;
mod stages;
mod types;
mod variables;

use crate::graph::Graph;
use crate::source::{SourceFile, Sources, is_taken};
use crate::syntax::{self, Module};
use crate::{Diagnostic, Error, Report, Severity, safety};

/// The package that the gateway generates; no file may have it.
pub const GENERATED: &str = "mcp_proxy_verdict";

/// What an allow-list need not mention. A file with package `mcp.baseline` replaces it.
const BASELINE: &str = include_str!("baseline.rego");

/// Files that were parsed, resolved and found right.
#[derive(Debug)]
pub struct Checked {
    /// The files, the baseline included.
    pub modules: Vec<Module>,
    /// What refers to what.
    pub graph: Graph,
    /// Whether a head, or the element of a comprehension, binds a variable by itself (`deny contains data.reasons[i]`),
    /// which the virtual machine of regorus does not know.
    pub binding_heads: bool,
}

/// Loads the policies that serve, without their tests. Warnings are logged.
///
/// # Errors
///
/// [`Error::Refused`] with everything that is wrong, [`Error::Conflict`] when data files contradict each other.
pub fn load(sources: &Sources) -> Result<Checked, Error> {
    loaded(sources, &[], false)
}

/// Loads the policies with their tests, whether or not the policies decide anything. Warnings are logged.
///
/// # Errors
///
/// As [`load`].
pub fn load_with_tests(sources: &Sources) -> Result<Checked, Error> {
    loaded(sources, sources.tests(), true)
}

fn loaded(sources: &Sources, tests: &[SourceFile], may_be_silent: bool) -> Result<Checked, Error> {
    let subject = Subject::new(sources, tests)?;
    let Found { mut diagnostics, binding_heads } = subject.check(false);
    if may_be_silent {
        diagnostics.retain(|it| it.code != "undecided");
    }
    Report::new(diagnostics).accept()?;
    Ok(Checked { modules: subject.modules, graph: subject.graph, binding_heads })
}

/// Checks policies and tests. Strict, it also names what is unused, shadowed, given twice or out of date.
#[must_use]
pub fn check(sources: &Sources, strict: bool) -> Report {
    let subject = match Subject::new(sources, sources.tests()) {
        Ok(subject) => subject,
        Err(Error::Refused(diagnostics)) => return Report::new(diagnostics),
        Err(other) => {
            let hint = "correct the data files".to_owned();
            let all =
                Diagnostic::of_all(sources.origin(), "data-conflict", other.to_string(), hint);
            return Report::new(vec![all]);
        }
    };
    let Found { mut diagnostics, .. } = subject.check(strict);
    for it in &mut diagnostics {
        if strict && matches!(it.code, "type-mismatch" | "unknown-constant") {
            it.severity = Severity::Error;
        }
    }
    Report::new(diagnostics)
}

/// What the checks look at.
struct Subject<'s> {
    sources: &'s Sources,
    modules: Vec<Module>,
    graph: Graph,
    /// How many of the modules serve; those after them are tests.
    serving: usize,
    data: serde_json::Value,
}

/// What the checks found.
struct Found {
    diagnostics: Vec<Diagnostic>,
    binding_heads: bool,
}

impl<'s> Subject<'s> {
    fn new(sources: &'s Sources, tests: &[SourceFile]) -> Result<Self, Error> {
        let mut modules = Vec::new();
        let mut wrong = Vec::new();
        let mut parse = |file: &SourceFile, modules: &mut Vec<Module>| match syntax::parse(file) {
            Ok(module) => modules.push(module),
            Err(diagnostic) => wrong.push(*diagnostic),
        };
        sources.policies().iter().for_each(|file| parse(file, &mut modules));
        if !modules.iter().any(|module| module.package == ["mcp", "baseline"]) {
            let baseline = SourceFile { name: "baseline.rego".to_owned(), text: BASELINE.into() };
            parse(&baseline, &mut modules);
        }
        let serving = modules.len();
        tests.iter().for_each(|file| parse(file, &mut modules));
        if !wrong.is_empty() {
            return Err(Error::Refused(wrong));
        }
        let graph = Graph::new(&modules);
        Ok(Self { data: sources.merged_data()?, sources, modules, graph, serving })
    }

    fn check(&self, strict: bool) -> Found {
        let mut found = Vec::new();
        self.check_packages(&mut found);
        self.check_data(&mut found);
        resolve::check(self, &mut found);
        let binding_heads = safety::check(&self.modules, &mut found);
        types::check(self, &mut found);
        stages::check(self, strict, &mut found);
        if strict {
            variables::check(self, &mut found);
            variables::check_imports(self, &mut found);
            rules::check(self, &mut found);
        }
        Found { diagnostics: found, binding_heads }
    }

    fn module(&self, index: usize) -> Option<&Module> {
        self.modules.get(index)
    }

    /// Refuses a package that is the gateway's own, and warns of one that cannot decide, and of old Rego.
    fn check_packages(&self, found: &mut Vec<Diagnostic>) {
        for (index, module) in self.modules.iter().enumerate() {
            let package = module.package.join(".");
            let error =
                |code, message, hint: &str| module.error(module.package_span, code, message, hint);
            if module.v0 {
                let message = "the file is written in Rego v0".to_owned();
                let hint = "it works; `opa fmt --rego-v1` brings it up to date";
                found.push(error("rego-v0", message, hint).warning());
            }
            match module.package.first().map(String::as_str) {
                Some(GENERATED) => {
                    let message = format!("package `{package}` is taken by the gateway");
                    found.push(error("reserved-package", message, "choose another"));
                }
                Some("mcp") => {}
                _ if index >= self.serving => {}
                _ => {
                    let message = format!("package `{package}` is outside package `mcp`");
                    let hint = "only rules in `mcp.policy`, and what they refer to, decide";
                    found.push(error("foreign-package", message, hint).warning());
                }
            }
        }
    }

    /// Refuses data where a rule is: regorus would let one hide the other.
    fn check_data(&self, found: &mut Vec<Diagnostic>) {
        for definition in self.graph.definitions() {
            if is_taken(&self.data, &definition.path)
                && let Some(module) = self.module(definition.module)
            {
                let path = definition.path.join(".");
                let data = self.sources.definer_of(&definition.path);
                let message = format!(
                    "`data.{path}` is also defined by {}",
                    data.unwrap_or(self.sources.origin())
                );
                let hint = "keep one of them";
                found.push(module.error(definition.span, "data-conflict", message, hint));
            }
        }
    }
}

#[cfg(test)]
mod tests;
