//! Which part of the verdict can be cached, and the texts that the engine evaluates.
//!
//! The rules of the verdict form two groups: the stable one, whose outcome is kept in the decision cache, and the live
//! one, which reads counters, time or chance and is evaluated for each message. `deny` and `violations` are unions of
//! their definitions, so the volatile definitions move into a rule of their own (`deny__live`), provided that nothing
//! else refers to the rule and that its definitions cannot disagree. The rest moves as a whole.
//!
//! A generated module collects each group of several rules, so that an evaluation enters the engine once and helper
//! rules are evaluated once.

use crate::definition::{Edit, Shape, Worth};
use crate::fields::Fields;
use crate::graph::{Footprint, Graph};
use crate::syntax::Module;

/// The package of the generated module; nobody else may use it.
pub(crate) const PACKAGE: &str = "mcp_proxy_verdict";

/// The rules that a set declares, of those the gateway asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) decision: bool,
    pub(crate) deny: bool,
    pub(crate) violations: bool,
    pub(crate) allow: bool,
    /// Whether `mcp.baseline` has an `allow`.
    pub(crate) baseline: bool,
}

impl Declared {
    pub(crate) fn new(graph: &Graph) -> Self {
        let has = |name| !graph.named(&["mcp", "policy", name]).is_empty();
        Self {
            decision: has("decision"),
            deny: has("deny"),
            violations: has("violations"),
            allow: has("allow"),
            baseline: !graph.named(&["mcp", "baseline", "allow"]).is_empty(),
        }
    }

    pub(crate) const fn decides(self) -> bool {
        self.decision || self.deny || self.violations || self.allow
    }

    /// The rules to evaluate, as paths. `decision` makes the others irrelevant.
    pub(crate) fn entries(self) -> Vec<[&'static str; 3]> {
        if self.decision {
            return vec![["mcp", "policy", "decision"]];
        }
        let mut entries = Vec::new();
        for (declared, name) in
            [(self.deny, "deny"), (self.violations, "violations"), (self.allow, "allow")]
        {
            if declared {
                entries.push(["mcp", "policy", name]);
            }
        }
        if self.allow && self.baseline {
            entries.push(["mcp", "baseline", "allow"]);
        }
        entries
    }
}

/// The key of an entry in the collected object: the name of the rule, `baseline` for that of the baseline.
pub(crate) fn entry_key(entry: [&'static str; 3]) -> &'static str {
    let [_, package, rule] = entry;
    if package == "baseline" { "baseline" } else { rule }
}

/// A rule that an engine is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: String,
    /// Which rule of the verdict it is; `None` for an object that collects several.
    pub(crate) key: Option<&'static str>,
}

/// One group: what it evaluates and what it reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// Key in the collected object, and path of the rule.
    members: Vec<(&'static str, String)>,
    footprint: Footprint,
}

impl Group {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn reads(&self) -> Fields {
        self.footprint.reads
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.members.iter().any(|(member, _)| *member == key)
    }

    fn add(&mut self, key: &'static str, path: String, footprint: Footprint) {
        self.members.push((key, path));
        self.footprint = self.footprint.and(footprint);
    }

    /// The rule to evaluate: the only member itself, else the collecting rule of the generated module.
    pub(crate) fn entry(&self, name: &str) -> Option<Entry> {
        match self.members.as_slice() {
            [] => None,
            [(key, path)] => Some(Entry { path: format!("data.{path}"), key: Some(key) }),
            _ => Some(Entry { path: format!("data.{PACKAGE}.{name}"), key: None }),
        }
    }

    fn rule(&self, name: &str) -> String {
        let members: Vec<String> = self
            .members
            .iter()
            .map(|(key, path)| format!("    \"{key}\": [v | v := data.{path}],\n"))
            .collect();
        format!("\n{name} := {{\n{}}}\n", members.concat())
    }
}

/// The two groups and the edits of the texts that they need.
#[derive(Debug, Default)]
pub(crate) struct Split {
    pub(crate) stable: Group,
    pub(crate) live: Group,
    /// Renamed heads: module, offset behind the name.
    pub(crate) renamed: Vec<(usize, usize)>,
}

const LIVE_SUFFIX: &str = "__live";

impl Split {
    pub(crate) fn new(graph: &Graph, declared: Declared) -> Self {
        let mut split = Self::default();
        for entry in declared.entries() {
            let key = entry_key(entry);
            let rule = graph.named(&entry);
            let path = entry.join(".");
            let whole = graph.footprint(&rule);
            if !whole.is_volatile() {
                split.stable.add(key, path, whole);
            } else if (key == "deny" || key == "violations") && is_union(graph, &rule) {
                split.divide(graph, key, &rule, &path);
            } else {
                split.live.add(key, path, whole);
            }
        }
        split
    }

    fn divide(&mut self, graph: &Graph, key: &'static str, rule: &[usize], path: &str) {
        let (live, stable): (Vec<usize>, Vec<usize>) =
            rule.iter().copied().partition(|index| graph.footprint(&[*index]).is_volatile());
        if stable.is_empty() {
            self.live.add(key, path.to_owned(), graph.footprint(&live));
            return;
        }
        for definition in live.iter().filter_map(|index| graph.definitions().get(*index)) {
            self.renamed.push((definition.module, definition.name.end));
        }
        self.stable.add(key, path.to_owned(), graph.footprint(&stable));
        self.live.add(key, format!("{path}{LIVE_SUFFIX}"), graph.footprint(&live));
    }

    /// The edits of one module: the suffix behind the names of renamed heads.
    pub(crate) fn edits(&self, module: usize) -> impl Iterator<Item = Edit> {
        self.renamed
            .iter()
            .filter(move |(own, _)| *own == module)
            .map(|(_, offset)| Edit::insert(*offset, LIVE_SUFFIX.to_owned()))
    }

    /// The generated module.
    pub(crate) fn module(&self) -> String {
        let mut text = format!("package {PACKAGE}\n\nimport rego.v1\n");
        for (name, group) in [("stable", &self.stable), ("live", &self.live)] {
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
        let live = path.pop().map(|name| format!("{name}{LIVE_SUFFIX}")).unwrap_or_default();
        path.push(&live);
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
    edits.sort();
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
