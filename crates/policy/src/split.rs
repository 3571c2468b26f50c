//! Which part of the verdict can be cached, and the texts that the engine evaluates.
//!
//! The rules of the verdict form two groups: the stable one, whose outcome is kept in the decision cache, and the volatile
//! one, which reads counters, time or chance and is evaluated for each message. `deny` and `violations` are unions of
//! their definitions, so the volatile definitions move into a rule of their own (`deny__volatile`), provided that nothing
//! else refers to the rule and that its definitions cannot disagree. The rest moves as a whole.
//!
//! A generated module collects each group of several rules, so that an evaluation enters the engine once and helper
//! rules are evaluated once.

use crate::reads::Reads;
use rego::definition::{Edit, Shape, Worth};
use rego::graph::{Footprint, Graph};
use rego::syntax::Module;
use rego::{GENERATED as PACKAGE, ReadSet};

use crate::numbering;
use crate::role::{Declared, Role};
use crate::verdict::Key;

/// A rule that an engine is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: String,
    /// How its value is to be read; `None` for an object that collects several.
    pub(crate) key: Option<Key>,
}

/// One group: what it evaluates and what it reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// How a value is to be read, and the path of its rule.
    members: Vec<(Key, String)>,
    pub(crate) footprint: Footprint,
}

impl Group {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn reads(&self) -> &ReadSet {
        &self.footprint.reads
    }

    /// Whether it holds a rule without which the other group cannot conclude.
    pub(crate) fn holds_grant(&self) -> bool {
        Role::ALL.into_iter().any(|role| !role.is_collection() && self.has(role))
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.members.iter().any(|(key, _)| key.role == role)
    }

    fn add(&mut self, key: Key, path: String, footprint: Footprint) {
        self.members.push((key, path));
        self.footprint.add(&footprint.reads, footprint.impure);
    }

    /// The rule to evaluate: the only member itself, else the collecting rule of the generated module.
    pub(crate) fn entry(&self, name: &str) -> Option<Entry> {
        match self.members.as_slice() {
            [] => None,
            [(key, path)] => Some(Entry { path: format!("data.{path}"), key: Some(*key) }),
            _ => Some(Entry { path: format!("data.{PACKAGE}.{name}"), key: None }),
        }
    }

    fn rule(&self, name: &str) -> String {
        let members: Vec<String> = self
            .members
            .iter()
            .map(|(key, path)| format!("    \"{}\": [v | v := data.{path}],\n", key.name()))
            .collect();
        format!("\n{name} := {{\n{}}}\n", members.concat())
    }
}

/// The two groups and the edits of the texts that they need.
#[derive(Debug, Default)]
pub(crate) struct Split {
    pub(crate) stable: Group,
    pub(crate) volatile: Group,
    /// Edits of the heads that the groups need, with the index of the module.
    edits: Vec<(usize, Edit)>,
}

const VOLATILE_SUFFIX: &str = "__volatile";

impl Split {
    pub(crate) fn new(graph: &Graph, modules: &[Module], declared: Declared) -> Self {
        let mut split = Self::default();
        for role in declared.roles() {
            let rule = graph.named(&role.path());
            let path = role.path().join(".");
            let whole = graph.footprint(&rule);
            let is_union = role.is_collection() && is_union(graph, &rule);
            let numbers = is_union.then(|| numbering::edits(graph, modules, role)).flatten();
            let key = Key { role, numbered: numbers.is_some() };
            split.edits.extend(numbers.into_iter().flatten());
            if !whole.is_volatile() {
                split.stable.add(key, path, whole);
            } else if is_union {
                split.divide(graph, key, &rule, &path);
            } else {
                split.volatile.add(key, path, whole);
            }
        }
        split
    }

    fn divide(&mut self, graph: &Graph, key: Key, rule: &[usize], path: &str) {
        let (volatile, stable): (Vec<usize>, Vec<usize>) =
            rule.iter().copied().partition(|index| graph.footprint(&[*index]).is_volatile());
        if stable.is_empty() {
            self.volatile.add(key, path.to_owned(), graph.footprint(&volatile));
            return;
        }
        for definition in volatile.iter().filter_map(|index| graph.definitions().get(*index)) {
            let edit = Edit::insert(definition.name.end, VOLATILE_SUFFIX.to_owned());
            self.edits.push((definition.module, edit));
        }
        self.stable.add(key, path.to_owned(), graph.footprint(&stable));
        self.volatile.add(key, format!("{path}{VOLATILE_SUFFIX}"), graph.footprint(&volatile));
    }

    /// Whether a rule gives another value each time.
    pub(crate) fn is_impure(&self) -> bool {
        self.stable.footprint.impure || self.volatile.footprint.impure
    }

    /// Compares what the text reads with what the compiled program does, and takes the whole input where the program
    /// reads more.
    pub(crate) fn confirm(&mut self, program: &Reads) {
        for (group, read) in
            [(&mut self.stable, &program.stable), (&mut self.volatile, &program.volatile)]
        {
            if !read.is_within(group.reads()) {
                let (text, program) = (group.reads().paths(), read.paths());
                tracing::warn!(
                    ?text,
                    ?program,
                    "the compiled policies read more of the input than their text; they get the whole input"
                );
                group.footprint.reads = ReadSet::everything();
            }
        }
    }

    /// The edits of one module.
    pub(crate) fn edits(&self, module: usize) -> impl Iterator<Item = Edit> {
        let own = self.edits.iter().filter(move |(own, _)| *own == module);
        own.map(|(_, edit)| edit.clone())
    }

    /// The generated module.
    pub(crate) fn module(&self) -> String {
        let mut text = format!("package {PACKAGE}\n\nimport rego.v1\n");
        for (name, group) in [("stable", &self.stable), ("volatile", &self.volatile)] {
            if group.members.len() > 1 {
                text.push_str(&group.rule(name));
            }
        }
        text
    }
}

/// Whether a rule is the union of its definitions: whatever some of them say, the others still say the same.
fn is_union(graph: &Graph, rule: &[usize]) -> bool {
    let definitions = || rule.iter().filter_map(|index| graph.definitions().get(*index));
    let taken = definitions().next().is_some_and(|first| {
        let mut path: Vec<&str> = first.path.iter().map(String::as_str).collect();
        let volatile =
            path.pop().map(|name| format!("{name}{VOLATILE_SUFFIX}")).unwrap_or_default();
        path.push(&volatile);
        !graph.named(&path).is_empty()
    });
    !taken
        && !graph.is_referenced(rule)
        && definitions().all(|definition| {
            !definition.deep_head
                && match definition.shape {
                    Shape::Set => true,
                    Shape::Object { plain } => plain,
                    Shape::Complete => {
                        !definition.has_else
                            && definition.values.iter().all(|worth| *worth == Worth::True)
                    }
                    Shape::Default { function } => {
                        !function && definition.values.iter().all(|worth| *worth == Worth::False)
                    }
                    Shape::Function => false,
                }
        })
}

/// Applies edits to the text of a module. An edit that would overlap another or split a character is left out.
pub(crate) fn edited(module: &Module, mut edits: Vec<Edit>) -> String {
    // At one place, the suffix of a name comes before what follows the name.
    edits.sort_by_cached_key(|edit| {
        (edit.start, edit.end, edit.text != VOLATILE_SUFFIX, edit.text.clone())
    });
    edits.dedup();
    let source = &module.file.text;
    let mut text = String::with_capacity(source.len() + 32 * edits.len());
    let mut done = 0;
    for edit in edits {
        if let Some(part) = source.get(done..edit.start) {
            text.push_str(part);
            text.push_str(&edit.text);
            done = edit.end;
        }
    }
    text.push_str(source.get(done..).unwrap_or_default());
    text
}
