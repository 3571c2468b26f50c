//! The call graph of a set: which definition uses which, and what each entry point reads.

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::Definition;
use crate::facts::{definitions, rule_name};
use crate::fields::Fields;
use crate::read_set::ReadSet;
use crate::syntax::Module;

/// All definitions of a set and the edges between them.
#[derive(Debug)]
pub struct Graph {
    definitions: Vec<Definition>,
    /// By index: the definitions that a definition uses.
    uses: Vec<BTreeSet<usize>>,
    by_path: BTreeMap<Vec<String>, Vec<usize>>,
}

/// What an entry point reads, all the way down.
#[derive(Clone, Debug, Default)]
pub struct Footprint {
    /// The paths of `input`.
    pub reads: ReadSet,
    /// Whether a builtin gives another value each time.
    pub impure: bool,
}

impl Footprint {
    /// Whether a decision on it is not worth keeping.
    #[must_use]
    pub fn is_volatile(&self) -> bool {
        self.impure || self.reads.fields().intersects(Fields::volatile())
    }

    /// Adds what a definition reads.
    pub fn add(&mut self, reads: &ReadSet, impure: bool) {
        self.reads.join(reads);
        self.impure |= impure;
    }
}

impl Graph {
    /// The graph of all definitions in `modules`.
    #[must_use]
    pub fn new(modules: &[Module]) -> Self {
        let mut names: BTreeMap<&[String], BTreeSet<String>> = BTreeMap::new();
        for module in modules {
            names
                .entry(&module.package)
                .or_default()
                .extend(module.rules.iter().filter_map(rule_name));
        }
        let none = BTreeSet::new();
        let definitions: Vec<Definition> = modules
            .iter()
            .enumerate()
            .flat_map(|(index, module)| {
                definitions(index, module, names.get(module.package.as_slice()).unwrap_or(&none))
            })
            .collect();
        let mut by_path: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
        for (index, definition) in definitions.iter().enumerate() {
            by_path.entry(definition.path.clone()).or_default().push(index);
        }
        let mut graph = Self { definitions, uses: Vec::new(), by_path };
        graph.uses = graph
            .definitions
            .iter()
            .map(|definition| {
                definition.refs.iter().flat_map(|path| graph.matching(path)).collect()
            })
            .collect();
        graph
    }

    /// All definitions, in the order of modules and lines.
    #[must_use]
    pub fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    /// The definitions of one module.
    pub fn in_module(&self, module: usize) -> impl Iterator<Item = &Definition> {
        self.definitions.iter().filter(move |definition| definition.module == module)
    }

    /// The definitions of exactly the rule at `path`.
    pub fn definitions_of(&self, path: &[String]) -> impl Iterator<Item = (usize, &Definition)> {
        let indices = self.by_path.get(path).into_iter().flatten();
        indices
            .filter_map(|index| self.definitions.get(*index).map(|definition| (*index, definition)))
    }

    /// Indices of the definitions of rules whose name, the first component after the package, is the last of `path`.
    pub fn named(&self, path: &[&str]) -> Vec<usize> {
        (0..self.definitions.len())
            .filter(|index| {
                self.definitions.get(*index).is_some_and(|definition| {
                    definition.package + 1 == path.len()
                        && definition.path.iter().zip(path).all(|(own, part)| own == part)
                })
            })
            .collect()
    }

    /// The definitions that a reference to `path` may evaluate: of rules above, at and below it.
    pub(crate) fn matching(&self, path: &[String]) -> Vec<usize> {
        let mut found = Vec::new();
        for length in 0..path.len() {
            if let Some(above) = path.get(..length).and_then(|path| self.by_path.get(path)) {
                found.extend(above);
            }
        }
        for (_, below) in
            self.by_path.range(path.to_vec()..).take_while(|(known, _)| known.starts_with(path))
        {
            found.extend(below);
        }
        found
    }

    /// Whether any definition other than those of the rule itself refers to the rule.
    pub fn is_referenced(&self, rule: &[usize]) -> bool {
        self.uses
            .iter()
            .enumerate()
            .any(|(user, used)| !rule.contains(&user) && rule.iter().any(|own| used.contains(own)))
    }

    /// What these definitions read, with everything that they use.
    pub fn footprint(&self, roots: &[usize]) -> Footprint {
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        let mut open = roots.to_vec();
        let mut footprint = Footprint::default();
        while let Some(index) = open.pop() {
            if !seen.insert(index) {
                continue;
            }
            if let Some(definition) = self.definitions.get(index) {
                footprint.add(&definition.reads, definition.impure);
            }
            open.extend(self.uses.get(index).into_iter().flatten());
        }
        footprint
    }

    /// The definitions that a definition uses.
    pub(crate) fn used_by(&self, index: usize) -> Vec<usize> {
        self.uses.get(index).into_iter().flatten().copied().collect()
    }
}
