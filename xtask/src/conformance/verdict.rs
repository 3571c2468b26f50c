//! What the gateway kept of what passes directly, and what it may lose.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::suite::Passed;

/// Scenarios that the specification keeps from passing, with its sentence.
pub(crate) type Exceptions = BTreeMap<String, String>;

/// How many scenarios passed directly, and how many of them through the gateway. What is excused counts on neither side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Score {
    /// Directly.
    pub(super) direct: usize,
    /// Of these, through the gateway too.
    pub(super) kept: usize,
}

impl Score {
    /// Adds another run to this one.
    pub(super) fn add(&mut self, other: Self) {
        self.direct += other.direct;
        self.kept += other.kept;
    }
}

/// When a scenario counts as kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// At least as many of its checks pass as directly: the same server must look the same.
    SameChecks,
    /// The suite says that it passes: another server may leave optional checks without an object.
    Passes,
}

/// Compares two runs. Says what was lost without leave, and what is excused though it passes.
pub(super) fn compare(
    rule: Rule,
    direct: &Passed,
    proxied: &Passed,
    excused: &Exceptions,
) -> (Score, Vec<String>) {
    let mut score = Score::default();
    let mut wrong = Vec::new();
    for (scenario, &checks) in direct {
        let through = proxied.get(scenario).copied().unwrap_or_default();
        let needed = if rule == Rule::SameChecks { checks } else { 1 };
        let kept = through >= needed;
        match (kept, excused.contains_key(scenario)) {
            (false, true) => continue,
            (false, false) => wrong.push(format!("{scenario}: {through} of {checks} checks")),
            (true, true) => wrong.push(format!("{scenario}: passes, and is listed as impossible")),
            (true, false) => {}
        }
        score.direct += 1;
        score.kept += usize::from(kept);
    }
    let unknown = excused.keys().filter(|scenario| !direct.contains_key(*scenario));
    wrong.extend(unknown.map(|scenario| format!("{scenario}: listed, but does not pass directly")));
    (score, wrong)
}

/// Reads the exceptions of one suite against a server of one era: lines `SUITE | ERA | scenario | sentence`.
///
/// # Errors
/// When the file cannot be read, or a line has no sentence.
pub(super) fn exceptions(file: &Path, suite: &str, era: &str) -> anyhow::Result<Exceptions> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read `{}`", file.display()))?;
    let mut excused = Exceptions::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let fields: Vec<&str> = line.splitn(4, '|').map(str::trim).collect();
        let [of, with, scenario, sentence] = fields[..] else {
            anyhow::bail!(
                "not `SUITE | ERA | scenario | sentence` in `{}`: {line}",
                file.display()
            );
        };
        ensure!(!sentence.is_empty(), "an exception without its sentence: {line}");
        if of == suite && with == era {
            excused.insert(scenario.to_owned(), sentence.to_owned());
        }
    }
    Ok(excused)
}

#[cfg(test)]
mod tests;
