//! Rules that no verdict depends on, rules that are written twice, and reasons of one name in several files.

use std::collections::{BTreeMap, BTreeSet};

use super::Subject;
use super::resolve::entries;
use crate::Diagnostic;
use crate::facts::rule_name;
use crate::syntax::Expr;
use crate::walk;

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    check_used(subject, found);
    check_twice(subject, found);
    check_reasons(subject, found);
}

/// Rules of the policies that no verdict depends on.
fn check_used(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let mut reached: BTreeSet<usize> = BTreeSet::new();
    let mut open: Vec<usize> = entries().flat_map(|entry| subject.graph.named(&entry)).collect();
    while let Some(index) = open.pop() {
        if reached.insert(index) {
            open.extend(subject.graph.used_by(index));
        }
    }
    let mut named = BTreeSet::new();
    for (index, definition) in subject.graph.definitions().iter().enumerate() {
        let ours = definition.path.first().is_some_and(|root| root == "mcp");
        if !ours || definition.module >= subject.serving || reached.contains(&index) {
            continue;
        }
        let Some(module) = subject.module(definition.module) else { continue };
        if named.insert(&definition.path) {
            let message = format!("no verdict depends on `data.{}`", definition.path.join("."));
            let hint =
                "leave it out, or refer to it from `deny`, `violations`, `allow` or `decision`";
            found.push(module.error(definition.span, "unused-rule", message, hint).warning());
        }
    }
}

/// Definitions that say the same.
fn check_twice(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let mut known: BTreeMap<(&[String], Vec<&str>), String> = BTreeMap::new();
    for definition in subject.graph.definitions() {
        let Some(module) = subject.module(definition.module) else { continue };
        let text: Vec<&str> = module.text(definition.span).split_whitespace().collect();
        let place = format!("{}:{}", module.file.name, definition.span.line);
        if let Some(first) = known.get(&(definition.path.as_slice(), text.clone())) {
            let message = format!(
                "`data.{}` is defined in the same words at {first}",
                definition.path.join(".")
            );
            found.push(
                module.error(definition.span, "duplicate-rule", message, "keep one").warning(),
            );
        } else {
            known.insert((&definition.path, text), place);
        }
    }
}

/// Reasons of one name in several files: who reads the log could not tell which file denied.
fn check_reasons(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let mut files: BTreeMap<&str, &str> = BTreeMap::new();
    for module in subject.modules.iter().take(subject.serving) {
        if module.package != ["mcp", "policy"] {
            continue;
        }
        for rule in &module.rules {
            if !rule_name(rule).is_some_and(|name| name == "deny" || name == "violations") {
                continue;
            }
            walk::each_expr(rule, &mut |expr| {
                let Expr::Object { fields } = expr else { return };
                for (span, key, value) in fields {
                    let (Expr::String { value: key }, Expr::String { value: name }) = (key, value)
                    else {
                        continue;
                    };
                    if key != "rule" {
                        continue;
                    }
                    let first = *files.entry(name).or_insert(&module.file.name);
                    if first != module.file.name {
                        let message = format!("reasons named `{name}` are also given by {first}");
                        let hint =
                            "give each file names of its own, so that a denial names its file";
                        found
                            .push(module.error(*span, "duplicate-reason", message, hint).warning());
                    }
                }
            });
        }
    }
}
