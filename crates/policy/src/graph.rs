//! The call graph of a set: which definition uses which, what each entry point reads, and the checks that a set must
//! pass before an engine sees it. Recursion above all: regorus would abort the process.

use std::collections::{BTreeMap, BTreeSet};

use crate::Error;
use crate::builtins::{self, Builtin};
use crate::definition::{CallSite, Definition};
use crate::facts::{definitions, rule_name};
use crate::fields::Fields;
use crate::syntax::Module;

/// All definitions of a set and the edges between them.
#[derive(Debug)]
pub(crate) struct Graph {
    definitions: Vec<Definition>,
    /// By index: the definitions that a definition uses.
    uses: Vec<BTreeSet<usize>>,
    by_path: BTreeMap<Vec<String>, Vec<usize>>,
}

/// What an entry point reads, all the way down.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Footprint {
    pub(crate) reads: Fields,
    /// Whether a builtin gives another value each time.
    pub(crate) impure: bool,
}

impl Footprint {
    /// Whether a decision on it is not worth keeping.
    pub(crate) fn is_volatile(self) -> bool {
        self.impure || self.reads.intersects(Fields::volatile())
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { reads: self.reads | other.reads, impure: self.impure || other.impure }
    }
}

impl Graph {
    pub(crate) fn new(modules: &[Module]) -> Self {
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

    pub(crate) fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    /// The definitions of one module.
    pub(crate) fn in_module(&self, module: usize) -> impl Iterator<Item = &Definition> {
        self.definitions.iter().filter(move |definition| definition.module == module)
    }

    /// The definitions of exactly the rule at `path`.
    pub(crate) fn definitions_of(
        &self,
        path: &[String],
    ) -> impl Iterator<Item = (usize, &Definition)> {
        let indices = self.by_path.get(path).into_iter().flatten();
        indices
            .filter_map(|index| self.definitions.get(*index).map(|definition| (*index, definition)))
    }

    /// Indices of the definitions of rules whose name, the first component after the package, is the last of `path`.
    pub(crate) fn named(&self, path: &[&str]) -> Vec<usize> {
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
    fn matching(&self, path: &[String]) -> Vec<usize> {
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
    pub(crate) fn is_referenced(&self, rule: &[usize]) -> bool {
        self.uses
            .iter()
            .enumerate()
            .any(|(user, used)| !rule.contains(&user) && rule.iter().any(|own| used.contains(own)))
    }

    /// What these definitions read, with everything that they use.
    pub(crate) fn footprint(&self, roots: &[usize]) -> Footprint {
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        let mut open = roots.to_vec();
        let mut footprint = Footprint::default();
        while let Some(index) = open.pop() {
            if !seen.insert(index) {
                continue;
            }
            if let Some(definition) = self.definitions.get(index) {
                footprint =
                    footprint.and(Footprint { reads: definition.reads, impure: definition.impure });
            }
            open.extend(self.uses.get(index).into_iter().flatten());
        }
        footprint
    }

    /// Refuses recursion, calls of functions that do not exist, and calls with too few or too many arguments.
    pub(crate) fn check(&self, modules: &[Module]) -> Result<(), Error> {
        self.check_recursion(modules)?;
        self.check_packages(modules)?;
        let mut builtins = BTreeMap::new();
        for definition in &self.definitions {
            let user_calls = definition.user_calls.iter().map(|(path, site)| (Some(path), site));
            let calls = user_calls.chain(definition.builtin_calls.iter().map(|site| (None, site)));
            for (path, site) in calls {
                self.check_call(path, site, &mut builtins)
                    .map_err(|fault| fault.at(file_of(modules, definition), site))?;
            }
        }
        Ok(())
    }

    /// A function of the policies hides a builtin of its name; a rule that is no function does not.
    fn check_call<'a>(
        &self,
        path: Option<&Vec<String>>,
        site: &'a CallSite,
        builtins: &mut BTreeMap<&'a str, Builtin>,
    ) -> Result<(), Fault> {
        let own: Vec<usize> = path
            .into_iter()
            .flat_map(|path| self.definitions_of(path))
            .filter_map(|(_, definition)| definition.arity)
            .collect();
        if !own.is_empty() {
            let unsuited = own.into_iter().find(|arity| !site.suits(*arity));
            return unsuited.map_or(Ok(()), |takes| Err(Fault::Arity(takes)));
        }
        let builtin = builtins.entry(&site.name).or_insert_with(|| Builtin::named(&site.name));
        let known = !matches!(builtin, Builtin::Unknown);
        if known && !site.constant {
            return Err(Fault::Unbounded);
        }
        match *builtin {
            Builtin::Takes(arity) if !site.suits(arity) => Err(Fault::Arity(arity)),
            Builtin::Takes(_) | Builtin::Variadic => Ok(()),
            Builtin::Unknown if path.is_some() => Err(Fault::Unknown("no policy file defines it")),
            Builtin::Unknown => Err(Fault::Unknown(builtins::hint_for(&site.name))),
        }
    }

    /// Refuses `deny["text"]` and the like as rules of the verdict: regorus gives each such key a rule of its own,
    /// which a question for `deny` does not find.
    pub(crate) fn check_heads(
        &self,
        modules: &[Module],
        entries: &[[&str; 3]],
    ) -> Result<(), Error> {
        for entry in entries {
            for index in self.named(entry) {
                let Some(definition) = self.definitions.get(index) else { continue };
                if definition.path.len() != entry.len() || definition.deep_head {
                    return Err(Error::Unsupported {
                        file: file_of(modules, definition),
                        line: definition.span.line,
                        what: format!(
                            "the head of `data.{}` has a constant key or several parts",
                            entry.join(".")
                        ),
                        hint: "write `contains` with the member instead",
                    });
                }
            }
        }
        Ok(())
    }

    /// Refuses a rule of the verdict in another package below `mcp` that nothing uses: a mistyped package would decide
    /// nothing, without a word.
    pub(crate) fn check_strays(&self, modules: &[Module]) -> Result<(), Error> {
        for definition in &self.definitions {
            let (package, rule) =
                definition.path.split_at(definition.package.min(definition.path.len()));
            let ours = package.first().is_some_and(|root| root == "mcp")
                && !matches!(package, [_, name] if name == "policy" || name == "baseline");
            let verdict = rule.first().filter(|name| VERDICT.contains(&name.as_str()));
            let Some(verdict) = verdict.filter(|_| ours) else { continue };
            let path: Vec<&str> = package.iter().chain([verdict]).map(String::as_str).collect();
            if !self.is_referenced(&self.named(&path)) {
                return Err(Error::Unsupported {
                    file: file_of(modules, definition),
                    line: definition.span.line,
                    what: format!("`data.{}` decides nothing", path.join(".")),
                    hint: "the verdict is read from package `mcp.policy`: correct the package, or refer to the rule",
                });
            }
        }
        Ok(())
    }

    /// Refuses a package as a value: the interpreter of regorus loses definitions of rules there.
    fn check_packages(&self, modules: &[Module]) -> Result<(), Error> {
        for definition in &self.definitions {
            for path in &definition.refs {
                let within =
                    self.matching(path).into_iter().filter_map(|index| self.definitions.get(index));
                if within.into_iter().any(|found| path.len() <= found.package) {
                    return Err(Error::Unsupported {
                        file: file_of(modules, definition),
                        line: definition.span.line,
                        what: format!("`data.{}` is a package, not a rule", path.join(".")),
                        hint: "name the rules that are meant",
                    });
                }
            }
        }
        Ok(())
    }

    /// Depth first, without recursion of our own.
    fn check_recursion(&self, modules: &[Module]) -> Result<(), Error> {
        let mut done = BTreeSet::new();
        for start in 0..self.definitions.len() {
            let mut path: Vec<(usize, Vec<usize>)> = vec![(start, self.next(start))];
            let mut on_path = BTreeSet::from([start]);
            while let Some((index, rest)) = path.last_mut() {
                match rest.pop() {
                    Some(next) if on_path.contains(&next) => {
                        let cycle =
                            path.iter().map(|(index, _)| *index).skip_while(|index| *index != next);
                        return Err(self.recursion(modules, cycle.collect(), next));
                    }
                    Some(next) if !done.contains(&next) => {
                        on_path.insert(next);
                        path.push((next, self.next(next)));
                    }
                    Some(_) => {}
                    None => {
                        done.insert(*index);
                        on_path.remove(index);
                        path.pop();
                    }
                }
            }
        }
        Ok(())
    }

    fn next(&self, index: usize) -> Vec<usize> {
        self.uses.get(index).into_iter().flatten().copied().collect()
    }

    fn recursion(&self, modules: &[Module], cycle: Vec<usize>, again: usize) -> Error {
        let names: Vec<String> = cycle
            .iter()
            .chain([&again])
            .filter_map(|index| self.definitions.get(*index))
            .map(|definition| format!("`data.{}`", definition.path.join(".")))
            .collect();
        let first = self.definitions.get(again);
        Error::Recursion {
            file: first.map(|definition| file_of(modules, definition)).unwrap_or_default(),
            line: first.map_or(0, |definition| definition.span.line),
            cycle: names.join(" -> "),
        }
    }
}

fn file_of(modules: &[Module], definition: &Definition) -> String {
    modules.get(definition.module).map(|module| module.file.name.clone()).unwrap_or_default()
}

/// What is wrong with a call.
enum Fault {
    /// There is no such function; what to do.
    Unknown(&'static str),
    /// It takes another number of arguments.
    Arity(usize),
    /// Its work has no bound, and what it works on may come from a client.
    Unbounded,
}

/// The rules that a verdict is read from.
const VERDICT: [&str; 4] = ["decision", "deny", "violations", "allow"];

impl Fault {
    fn at(self, file: String, site: &CallSite) -> Error {
        let (line, column, name) = (site.span.line, site.span.col, site.name.clone());
        match self {
            Self::Unknown(hint) => Error::UnknownFunction { file, line, column, name, hint },
            Self::Arity(takes) => {
                Error::Arity { file, line, column, name, takes, given: site.given }
            }
            Self::Unbounded => Error::Unsupported {
                file,
                line,
                what: format!("the work of `{name}` has no bound on what a client may send"),
                hint: "write its arguments down as constants (of `sprintf`, the format)",
            },
        }
    }
}
