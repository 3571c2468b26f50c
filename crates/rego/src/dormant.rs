//! Rules that the data puts to sleep.
//!
//! Shipped policies are switched on by data: `data.egress.enabled` comes first in the body, and stands nowhere until
//! somebody writes it. Data does not change while a set serves, so such a definition can never hold, and what it reads
//! need not be part of the cache key, nor be evaluated. Only members of the collections that the gateway asks for are
//! looked at, and only where no other rule refers to the collection: without one of them the rest says the same, which
//! is not so of `allow`. Whatever is not certain is awake.

use std::ops::Range;

use serde_json::Value;

use crate::graph::Graph;
use crate::source::SourceFile;
use crate::syntax::{self, Body, Expr, Head, Literal, Module, Rule, Statement, constant_path};

const PACKAGE: [&str; 2] = ["mcp", "policy"];
const COLLECTIONS: [&str; 3] = ["deny", "violations", "obligations"];

/// The modules of `graph` without the definitions that cannot hold while `data` is `document`; everything else keeps
/// line, column and offset. `None` when all definitions are awake.
#[must_use]
pub fn awake(modules: &[Module], graph: &Graph, document: &Value) -> Option<Vec<Module>> {
    let free = |name: &&str| {
        let [mcp, policy] = PACKAGE;
        !graph.is_referenced(&graph.named(&[mcp, policy, name]))
    };
    let collections = COLLECTIONS.into_iter().filter(free).collect();
    let data = Data { modules, document, collections };
    let asleep: Vec<Vec<Range<usize>>> = modules
        .iter()
        .map(|module| module.rules.iter().filter_map(|rule| data.asleep(module, rule)).collect())
        .collect();
    if asleep.iter().all(Vec::is_empty) {
        return None;
    }
    let left = modules.iter().zip(&asleep).map(|(module, asleep)| {
        let text = blanked(&module.file.text, asleep).into();
        syntax::parse(&SourceFile { name: module.file.name.clone(), text })
    });
    left.collect::<Result<_, _>>().ok()
}

struct Data<'a> {
    modules: &'a [Module],
    document: &'a Value,
    /// The collections whose members may go.
    collections: Vec<&'static str>,
}

impl Data<'_> {
    /// The bytes of a definition that cannot hold.
    fn asleep(&self, module: &Module, rule: &Rule) -> Option<Range<usize>> {
        let Rule::Spec {
            span,
            head: Head::Set { refr: Expr::Var { value: name, .. }, .. },
            bodies,
        } = rule
        else {
            return None;
        };
        let asked = module.package == PACKAGE && self.collections.contains(&name.as_str());
        let asleep = asked && !bodies.is_empty() && bodies.iter().all(|body| self.fails(body));
        asleep.then_some(span.start..module.past_quote(span.end))
    }

    fn fails(&self, body: &Body) -> bool {
        body.query.stmts.iter().any(|statement| match statement {
            Statement { literal: Literal::Expr { expr }, with_mods, .. }
                if with_mods.is_empty() =>
            {
                self.is_false(expr) || self.is_undefined(expr)
            }
            _ => false,
        })
    }

    fn is_false(&self, expr: &Expr) -> bool {
        self.value(expr) == Some(Some(&Value::Bool(false)))
    }

    /// Whether an expression has no value because part of it has none.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not looked at counts as awake")]
    fn is_undefined(&self, expr: &Expr) -> bool {
        match expr {
            Expr::RefDot { refr, .. } => self.value(expr) == Some(None) || self.is_undefined(refr),
            Expr::RefBrack { refr, index } => {
                self.value(expr) == Some(None)
                    || self.is_undefined(refr)
                    || self.is_undefined(index)
            }
            // `print` says that something is undefined, and holds.
            Expr::Call { fcn, params, .. } => {
                !matches!(fcn.as_ref(), Expr::Var { value, .. } if value == "print")
                    && params.iter().any(|param| self.is_undefined(param))
            }
            Expr::Compare { lhs, rhs, .. } => self.is_undefined(lhs) || self.is_undefined(rhs),
            Expr::Assign { rhs, .. } => self.is_undefined(rhs),
            Expr::Membership { key: None, value, collection } => {
                self.is_undefined(value) || self.is_undefined(collection)
            }
            _ => false,
        }
    }

    /// What stands in the data where a constant reference points; `None` when it is no such reference, or one to what
    /// rules may say.
    fn value(&self, expr: &Expr) -> Option<Option<&Value>> {
        let mut path = Vec::new();
        if !constant_path(expr, &mut path) {
            return None;
        }
        let (root, path) = path.split_first()?;
        let of_rules = |module: &Module| {
            module.package.iter().zip(path).all(|(package, part)| package == part)
        };
        if root != "data" || path.is_empty() || self.modules.iter().any(of_rules) {
            return None;
        }
        Some(path.iter().try_fold(self.document, |value, part| value.as_object()?.get(part)))
    }
}

/// The text with spaces in place of some ranges, so that the rest keeps line, column and offset.
fn blanked(text: &str, ranges: &[Range<usize>]) -> String {
    let mut blanked = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        let gone = ranges.iter().any(|range| range.contains(&at));
        match character {
            other if !gone || other == '\n' => blanked.push(other),
            other => blanked.extend(std::iter::repeat_n(' ', other.len_utf8())),
        }
    }
    blanked
}

#[cfg(test)]
mod tests;
