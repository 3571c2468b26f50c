//! Which lines of the policies a run of tests reached.
//!
//! The interpreter tells the lines on which it evaluated something; what could be reached is read from the syntax. A
//! line counts when a condition begins on it, or a value that a rule yields, and is covered when every one of them was
//! evaluated. Lines of tests do not count.

use std::collections::{BTreeMap, BTreeSet};

use crate::syntax::Module;

/// The lines of one file that count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileCoverage {
    /// The file.
    pub file: String,
    /// Lines that a test reached.
    pub covered: BTreeSet<u32>,
    /// Lines that no test reached.
    pub not_covered: BTreeSet<u32>,
}

impl FileCoverage {
    /// Covered lines in a hundred; 100 when no line counts.
    #[must_use]
    pub fn percent(&self) -> f64 {
        percent(self.covered.len(), self.not_covered.len())
    }
}

/// The lines of all policies that count, file by file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The files, in the order of their names.
    pub files: Vec<FileCoverage>,
}

impl Coverage {
    /// Covered lines in a hundred, of all files; 100 when no line counts.
    #[must_use]
    pub fn percent(&self) -> f64 {
        let sum = |lines: fn(&FileCoverage) -> usize| self.files.iter().map(lines).sum();
        percent(sum(|file| file.covered.len()), sum(|file| file.not_covered.len()))
    }

    /// The coverage of `modules`, when the interpreter reached the lines `reached` of each file.
    #[must_use]
    pub fn of<'m>(
        modules: impl Iterator<Item = &'m Module>,
        reached: &BTreeMap<String, BTreeSet<u32>>,
    ) -> Self {
        let none = BTreeSet::new();
        let mut files: Vec<FileCoverage> = modules
            .map(|module| file(module, reached.get(&module.file.name).unwrap_or(&none)))
            .collect();
        files.sort_by(|a, b| a.file.cmp(&b.file));
        Self { files }
    }
}

fn file(module: &Module, reached: &BTreeSet<u32>) -> FileCoverage {
    let mut found = FileCoverage { file: module.file.name.clone(), ..FileCoverage::default() };
    for unit in module.units() {
        let line = *unit.start();
        let lines = match reached.range(unit).next() {
            Some(_) => &mut found.covered,
            None => &mut found.not_covered,
        };
        lines.insert(line);
    }
    found.covered.retain(|line| !found.not_covered.contains(line));
    found
}

fn percent(covered: usize, not_covered: usize) -> f64 {
    let lossless = |count| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    match covered + not_covered {
        0 => 100.0,
        all => 100.0 * lossless(covered) / lossless(all),
    }
}
