//! Whether a body reads what its stage does not have. Such a body never holds, or, under `not`, always does; a test of
//! the rule with a document that has everything would not show it.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only comparisons with constants say something about the stage"
)]

use std::collections::{BTreeMap, BTreeSet};

use domain::Stage;

use super::Subject;
use super::resolve::VERDICT;
use crate::Diagnostic;
use crate::definition::name_span;
use crate::facts::rule_name;
use crate::syntax::{
    AssignOp, Body, CompareOp, Expr, Head, Literal, Module, Rule, Span, Statement,
};
use crate::walk::{self, Names};

/// Fields of `input` that are not there, by stage; with them goes everything below.
const ABSENT: [(Stage, &[&str]); 5] = [
    (Stage::Request, &["result"]),
    (Stage::Response, &["server.tool"]),
    (Stage::List, &["arguments", "request.arguments", "request.params", "request.id", "result"]),
    (Stage::ServerRequest, &["tool", "request.tool", "server.tool", "result", "context.source_ip"]),
    (
        Stage::Connect,
        &[
            "method",
            "tool",
            "resource",
            "prompt",
            "arguments",
            "request.id",
            "request.method",
            "request.tool",
            "request.resource",
            "request.prompt",
            "request.arguments",
            "request.params",
            "session.id",
            "session.request_count",
            "session.started_at",
            "session.protocol_version",
            "session.client",
            "server.tool",
            "result",
        ],
    ),
];

/// The methods under which entries of lists are decided.
const LISTED: [&str; 3] = ["tools/call", "resources/read", "prompts/get"];

/// Whether a stage has the field at `path`.
fn has(stage: Stage, path: &[String]) -> bool {
    let absent = ABSENT.iter().filter(|(known, _)| *known == stage).flat_map(|(_, paths)| *paths);
    !absent.into_iter().any(|absent| {
        let parts: Vec<&str> = absent.split('.').collect();
        path.len() >= parts.len() && path.iter().zip(parts).all(|(own, part)| own == part)
    })
}

pub(super) fn check(subject: &Subject<'_>, strict: bool, found: &mut Vec<Diagnostic>) {
    let impossible = if strict { impossible(subject) } else { BTreeMap::new() };
    for module in subject.modules.iter().take(subject.serving) {
        let names = Names::of(module);
        let policy = module.package == ["mcp", "policy"];
        for rule in &module.rules {
            let verdict = rule_name(rule).is_some_and(|name| VERDICT.contains(&name.as_str()));
            for body in walk::bodies(rule) {
                let body = Reads::of(&names, rule, body);
                body.check_pinned(module, found);
                if strict && policy && verdict {
                    body.check_negated(module, found);
                    body.check_negated_rules(module, &impossible, found);
                }
            }
        }
    }
}

/// The stages at which no body of a rule of package `mcp.policy` can hold, by the rule's name.
fn impossible(subject: &Subject<'_>) -> BTreeMap<String, BTreeSet<Stage>> {
    let mut stages: BTreeMap<String, BTreeSet<Stage>> = BTreeMap::new();
    for module in subject.modules.iter().take(subject.serving) {
        if module.package != ["mcp", "policy"] {
            continue;
        }
        let names = Names::of(module);
        for rule in &module.rules {
            let Some(name) = rule_name(rule) else { continue };
            let never: BTreeSet<Stage> = match rule {
                Rule::Default { value: Expr::Bool { value: false }, .. } => continue,
                Rule::Spec { head: Head::Compr { .. } | Head::Func { .. }, bodies, .. }
                    if !bodies.is_empty() =>
                {
                    let bodies: Vec<Reads> =
                        bodies.iter().map(|body| Reads::of(&names, rule, body)).collect();
                    Stage::ALL
                        .into_iter()
                        .filter(|stage| bodies.iter().all(|body| !body.can_hold(*stage)))
                        .collect()
                }
                // A fact holds, and a set is there even when it is empty.
                _ => BTreeSet::new(),
            };
            let known = stages.entry(name).or_insert_with(|| Stage::ALL.into());
            known.retain(|stage| never.contains(stage));
        }
    }
    stages
}

/// A field that is read, and where.
type Read = (Vec<String>, Span);

/// What a body says of the stage, and what it reads.
struct Reads {
    /// The stages at which it can hold.
    stages: Vec<Stage>,
    /// Without these it fails.
    needed: Vec<Read>,
    /// Without these, what is under `not` fails.
    negated: Vec<Read>,
    /// Rules and functions that stand under `not` by themselves.
    negated_rules: Vec<(String, Span)>,
}

impl Reads {
    fn of(names: &Names, rule: &Rule, body: &Body) -> Self {
        let mut reads = Self {
            stages: Stage::ALL.to_vec(),
            needed: Vec::new(),
            negated: Vec::new(),
            negated_rules: Vec::new(),
        };
        // With another input, nothing is known.
        let own = |statement: &&Statement| statement.with_mods.is_empty();
        for statement in body.query.stmts.iter().filter(own) {
            reads.statement(names, &statement.literal);
        }
        if let Rule::Spec { head, .. } = rule
            && !body.is_else
        {
            head.yields().into_iter().for_each(|part| needed(names, part, &mut reads.needed));
        }
        reads
    }

    fn statement(&mut self, names: &Names, literal: &Literal) {
        match literal {
            Literal::Expr { expr } => {
                self.pin(names, expr, true);
                needed(names, expr, &mut self.needed);
            }
            Literal::NotExpr { expr } => {
                self.pin(names, expr, false);
                needed(names, expr, &mut self.negated);
                let called = if let Expr::Call { fcn, .. } = expr { fcn } else { expr };
                if let Expr::Var { span, value } = called {
                    self.negated_rules.push((value.clone(), *span));
                }
            }
            Literal::SomeIn { collection, .. } => needed(names, collection, &mut self.needed),
            Literal::Every { domain, .. } => needed(names, domain, &mut self.needed),
            Literal::SomeVars { .. } => {}
        }
    }

    /// Narrows the stages by a statement such as `input.stage == "list"`, or by its opposite; a method that no entry
    /// of a list would use leaves out lists.
    fn pin(&mut self, names: &Names, expr: &Expr, holds: bool) {
        let (lhs, rhs, equal) = match expr {
            Expr::Compare { op: op @ (CompareOp::Eq | CompareOp::Ne), lhs, rhs } => {
                (lhs, rhs, *op == CompareOp::Eq)
            }
            Expr::Assign { op: AssignOp::Eq, lhs, rhs, .. } => (lhs, rhs, true),
            Expr::Membership { key: None, value, collection } => (value, collection, true),
            _ => return,
        };
        let is = |expr: &Expr, field: &str| {
            names.input_path(expr).is_some_and(|(path, whole)| whole && path == [field])
        };
        let values_of = |field| match (lhs.as_ref(), rhs.as_ref()) {
            (it, Expr::Array { items } | Expr::Set { items }) if is(it, field) => constants(items),
            (it, other) | (other, it) if is(it, field) => constants([other]),
            _ => None,
        };
        if let Some(named) = values_of("stage") {
            self.stages.retain(|stage| named.contains(&stage.as_str()) == (equal == holds));
        }
        if let Some(named) = values_of("method")
            && equal == holds
            && !named.iter().any(|method| LISTED.contains(method))
        {
            self.stages.retain(|stage| *stage != Stage::List);
        }
    }

    /// Whether nothing speaks against the body at a stage.
    fn can_hold(&self, stage: Stage) -> bool {
        self.stages.contains(&stage) && self.needed.iter().all(|(path, _)| has(stage, path))
    }

    /// Refuses what no stage that the body allows has.
    fn check_pinned(&self, module: &Module, found: &mut Vec<Diagnostic>) {
        if self.stages.is_empty() {
            return;
        }
        let missing = |read: &&Read| !self.stages.iter().any(|stage| has(*stage, &read.0));
        let stages = listed(&self.stages);
        let at = if self.stages.len() == 1 { "stage" } else { "stages" };
        for (path, span) in self.needed.iter().filter(missing) {
            let path = path.join(".");
            let message =
                format!("`input.{path}` is not there at {at} {stages}, so this never holds");
            let hint = format!("ask at {}, or leave the field out", listed(&having(&path)));
            found.push(module.error(*span, "field-not-at-stage", message, hint));
        }
        for (path, span) in self.negated.iter().filter(missing) {
            let path = path.join(".");
            let message = format!(
                "`input.{path}` is not there at {at} {stages}, so the negation always holds"
            );
            let hint = format!("ask at {}, or leave it out", listed(&having(&path)));
            found.push(module.error(*span, "field-not-at-stage", message, hint).warning());
        }
    }

    /// Warns of a negation that holds for every entry of a list, or for every request.
    fn check_negated(&self, module: &Module, found: &mut Vec<Diagnostic>) {
        for (path, span) in &self.negated {
            let lacking: Vec<Stage> = [Stage::Request, Stage::List]
                .into_iter()
                .filter(|stage| self.stages.contains(stage) && !has(*stage, path))
                .collect();
            if lacking.is_empty() || !self.stages.iter().any(|stage| has(*stage, path)) {
                continue;
            }
            let path = path.join(".");
            let message = format!(
                "`input.{path}` is not there at stage {}, so the negation always holds there",
                listed(&lacking)
            );
            let hint =
                format!("say at which stage: `input.stage == \"{}\"`", first(&having(&path)));
            found.push(module.error(*span, "negated-stage-field", message, hint).warning());
        }
    }

    /// Warns of a negated rule that never holds for the entry of a list, or for a request.
    fn check_negated_rules(
        &self,
        module: &Module,
        impossible: &BTreeMap<String, BTreeSet<Stage>>,
        found: &mut Vec<Diagnostic>,
    ) {
        for (name, span) in &self.negated_rules {
            let Some(never) = impossible.get(name) else { continue };
            let at: Vec<Stage> = [Stage::Request, Stage::List]
                .into_iter()
                .filter(|stage| self.stages.contains(stage) && never.contains(stage))
                .collect();
            if at.is_empty() {
                continue;
            }
            let message = format!(
                "`{name}` never holds at stage {}, so its negation always does there",
                listed(&at)
            );
            let possible: Vec<Stage> =
                Stage::ALL.into_iter().filter(|stage| !never.contains(stage)).collect();
            let hint = format!("say at which stage: `input.stage == \"{}\"`", first(&possible));
            found.push(module.error(*span, "negated-stage-field", message, hint).warning());
        }
    }
}

/// The stages that have a field.
fn having(path: &str) -> Vec<Stage> {
    let path: Vec<String> = path.split('.').map(str::to_owned).collect();
    Stage::ALL.into_iter().filter(|stage| has(*stage, &path)).collect()
}

fn listed(stages: &[Stage]) -> String {
    stages.iter().map(|stage| stage.as_str()).collect::<Vec<_>>().join(" or ")
}

fn first(stages: &[Stage]) -> &'static str {
    stages.first().map_or("request", |stage| stage.as_str())
}

/// The texts, when all of the expressions are texts.
fn constants<'e>(exprs: impl IntoIterator<Item = &'e Expr>) -> Option<Vec<&'e str>> {
    exprs
        .into_iter()
        .map(|expr| match expr {
            Expr::String { value } | Expr::RawString { value } => Some(value.as_str()),
            _ => None,
        })
        .collect()
}

/// The fields without which an expression is undefined: comprehensions are empty instead.
fn needed(names: &Names, expr: &Expr, into: &mut Vec<Read>) {
    let (Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. }) = expr else {
        walk::parts(expr).into_iter().for_each(|part| needed(names, part, into));
        return;
    };
    if let (Some((path, _)), Some(span)) = (names.input_path(expr), name_span(expr))
        && !path.is_empty()
    {
        into.push((path, span));
    }
    let mut rest = expr;
    loop {
        match rest {
            Expr::RefDot { refr, .. } => rest = refr,
            Expr::RefBrack { refr, index } => {
                needed(names, index, into);
                rest = refr;
            }
            Expr::Var { .. } => return,
            other => return needed(names, other, into),
        }
    }
}
