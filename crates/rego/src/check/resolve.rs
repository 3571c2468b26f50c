//! Whether everything that a set refers to is there and may be used so. Recursion above all: regorus would abort the
//! process.

use std::collections::{BTreeMap, BTreeSet};

use super::Subject;
use crate::Diagnostic;
use crate::builtins::{self, Builtin};
use crate::definition::{CallSite, Definition};

/// The rules that a verdict is read from.
pub(super) const VERDICT: [&str; 4] = ["decision", "deny", "violations", "allow"];

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    check_recursion(subject, found);
    check_packages(subject, found);
    check_calls(subject, found);
    check_strays(subject, found);
    check_heads(subject, found);
    check_decides(subject, found);
}

/// The places that the gateway reads a verdict from.
pub(super) fn entries() -> impl Iterator<Item = [&'static str; 3]> {
    let policy = VERDICT.into_iter().chain(["obligations"]).map(|rule| ["mcp", "policy", rule]);
    policy.chain([["mcp", "baseline", "allow"]])
}

fn error(
    subject: &Subject<'_>,
    definition: &Definition,
    code: &'static str,
    message: String,
    hint: &str,
) -> Option<Diagnostic> {
    let module = subject.module(definition.module)?;
    Some(module.error(definition.span, code, message, hint))
}

/// Refuses rules that depend on themselves: depth first, without recursion of our own.
fn check_recursion(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let graph = &subject.graph;
    let mut done = BTreeSet::new();
    for start in 0..graph.definitions().len() {
        if done.contains(&start) {
            continue;
        }
        let mut path: Vec<(usize, Vec<usize>)> = vec![(start, graph.used_by(start))];
        let mut on_path = BTreeSet::from([start]);
        while let Some((index, rest)) = path.last_mut() {
            match rest.pop() {
                Some(next) if on_path.contains(&next) => {
                    let cycle = path.iter().map(|(index, _)| *index);
                    let cycle: Vec<usize> = cycle.skip_while(|index| *index != next).collect();
                    found.extend(recursion(subject, &cycle, next));
                }
                Some(next) if !done.contains(&next) => {
                    on_path.insert(next);
                    path.push((next, graph.used_by(next)));
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
}

fn recursion(subject: &Subject<'_>, cycle: &[usize], again: usize) -> Option<Diagnostic> {
    let definitions = subject.graph.definitions();
    let names: Vec<String> = cycle
        .iter()
        .chain([&again])
        .filter_map(|index| definitions.get(*index))
        .map(|definition| format!("`data.{}`", definition.path.join(".")))
        .collect();
    let message = format!("recursion: {}", names.join(" -> "));
    error(subject, definitions.get(again)?, "recursion", message, "Rego has none, break the cycle")
}

/// Refuses a package as a value: the interpreter of regorus loses definitions of rules there.
fn check_packages(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let definitions = subject.graph.definitions();
    for definition in definitions {
        for path in &definition.refs {
            let mut within =
                subject.graph.matching(path).into_iter().filter_map(|index| definitions.get(index));
            if within.any(|inner| path.len() <= inner.package) {
                let message = format!("`data.{}` is a package, not a rule", path.join("."));
                let hint = "name the rules that are meant";
                found.extend(error(subject, definition, "package-as-value", message, hint));
            }
        }
    }
}

/// Refuses calls of functions that do not exist, with too few or too many arguments, or with work that has no bound.
fn check_calls(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let mut builtins = BTreeMap::new();
    for definition in subject.graph.definitions() {
        let Some(module) = subject.module(definition.module) else { continue };
        let user_calls = definition.user_calls.iter().map(|(path, site)| (Some(path), site));
        let calls = user_calls.chain(definition.builtin_calls.iter().map(|site| (None, site)));
        for (path, site) in calls {
            if let Err(fault) = check_call(subject, path, site, &mut builtins) {
                let (code, message, hint) = fault.describe(site);
                found.push(module.error(site.span, code, message, hint));
            }
        }
    }
}

/// A function of the policies hides a builtin of its name; a rule that is no function does not.
fn check_call<'a>(
    subject: &Subject<'_>,
    path: Option<&Vec<String>>,
    site: &'a CallSite,
    builtins: &mut BTreeMap<&'a str, Builtin>,
) -> Result<(), Fault> {
    let own: Vec<usize> = path
        .into_iter()
        .flat_map(|path| subject.graph.definitions_of(path))
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
        Builtin::Unknown if path.is_some() => {
            Err(Fault::Unknown("no policy file defines it".to_owned()))
        }
        Builtin::Unknown => Err(Fault::Unknown(builtins::hint_for(&site.name))),
    }
}

/// What is wrong with a call.
enum Fault {
    /// There is no such function; what to do.
    Unknown(String),
    /// It takes another number of arguments.
    Arity(usize),
    /// Its work has no bound, and what it works on may come from a client.
    Unbounded,
}

impl Fault {
    /// Code, message and hint.
    fn describe(self, site: &CallSite) -> (&'static str, String, String) {
        let name = &site.name;
        match self {
            Self::Unknown(hint) => ("unknown-function", format!("unknown function `{name}`"), hint),
            Self::Arity(takes) => {
                let plural = if takes == 1 { "" } else { "s" };
                let message =
                    format!("`{name}` takes {takes} argument{plural}, not {}", site.given);
                ("wrong-arity", message, "correct the call".to_owned())
            }
            Self::Unbounded => {
                let message =
                    format!("the work of `{name}` has no bound on what a client may send");
                let hint = "write its arguments down as constants; of `sprintf` the format, of `concat`, `replace` \
                            and the like what is put in";
                ("unbounded-builtin", message, hint.to_owned())
            }
        }
    }
}

/// Refuses a rule of the verdict in another package below `mcp` that nothing uses: a mistyped package would decide
/// nothing, without a word.
fn check_strays(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for definition in subject.graph.definitions() {
        if definition.module >= subject.serving {
            continue;
        }
        let (package, rule) =
            definition.path.split_at(definition.package.min(definition.path.len()));
        let ours = package.first().is_some_and(|root| root == "mcp")
            && !matches!(package, [_, name] if name == "policy" || name == "baseline");
        let verdict = rule.first().filter(|name| VERDICT.contains(&name.as_str()));
        let Some(verdict) = verdict.filter(|_| ours) else { continue };
        let path: Vec<&str> = package.iter().chain([verdict]).map(String::as_str).collect();
        if !subject.graph.is_referenced(&subject.graph.named(&path)) {
            let message = format!("`data.{}` decides nothing", path.join("."));
            let hint = "the verdict is read from package `mcp.policy`: correct the package, or refer to the rule";
            found.extend(error(subject, definition, "stray-rule", message, hint));
        }
    }
}

/// Refuses `deny["text"]` and the like as rules of the verdict: regorus gives each such key a rule of its own, which a
/// question for `deny` does not find.
fn check_heads(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for entry in entries() {
        let named = subject.graph.named(&entry);
        for definition in
            named.into_iter().filter_map(|index| subject.graph.definitions().get(index))
        {
            if definition.path.len() != entry.len() || definition.deep_head {
                let message = format!(
                    "the head of `data.{}` has a constant key or several parts",
                    entry.join(".")
                );
                let hint = "write `contains` with the member instead";
                found.extend(error(subject, definition, "verdict-head", message, hint));
            }
        }
    }
}

/// Refuses a set that says nothing which the gateway asks for.
fn check_decides(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let decides =
        VERDICT.into_iter().any(|rule| !subject.graph.named(&["mcp", "policy", rule]).is_empty());
    if !decides {
        let message = "no rule `deny`, `violations`, `allow` or `decision` in package `mcp.policy`, so nothing would \
                       be decided"
            .to_owned();
        let hint = "add one, or set `policy.enabled: false`".to_owned();
        found.push(Diagnostic::of_all(subject.sources.origin(), "undecided", message, hint));
    }
}
