//! Unsafe variables: those that no statement gives a value.
//!
//! regorus finds some of them undefined, and a `deny` with one would never deny. The check errs on the side of the
//! variable: one that an assignment mentions on either side, that indexes a reference, or that stands in the last
//! argument of a call counts as bound.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use crate::Diagnostic;
use crate::facts::{imports, rule_name};
use crate::syntax::{Body, Expr, Head, Literal, Module, Query, Rule, Span, Statement};
use crate::walk;

const IN_HEAD: &str =
    "no statement of the body gives it a value; assign it there, or correct the name";
const IN_BODY: &str = "no statement gives it a value; assign it, or correct the name";
const UNDER_NOT: &str = "it stands under `not`, and no other statement gives it a value; bind it first \
                         (`some x in …`), or correct the name";

/// Refuses unsafe variables in any module, one a rule. True when a head, or the element of a comprehension, binds a
/// variable by itself (`deny contains data.reasons[i]`), which the virtual machine does not know.
pub(crate) fn check(modules: &[Module], found: &mut Vec<Diagnostic>) -> bool {
    let binding_heads = Cell::new(false);
    let mut rules: BTreeMap<&[String], BTreeSet<String>> = BTreeMap::new();
    for module in modules {
        rules.entry(&module.package).or_default().extend(module.rules.iter().filter_map(rule_name));
    }
    for module in modules {
        let mut globals: BTreeSet<String> = imports(module).into_keys().collect();
        globals.extend(["input", "data"].map(str::to_owned));
        globals.extend(rules.get(module.package.as_slice()).into_iter().flatten().cloned());
        let check = Check { module, globals, binding_heads: &binding_heads };
        for rule in &module.rules {
            if let Err((span, name, why)) = check.rule(rule) {
                let message = format!("variable `{name}` is unsafe");
                found.push(module.error(span, "unsafe-variable", message, why));
            }
        }
    }
    binding_heads.get()
}

/// Place, name and reason.
type Unsafe<'m> = (Span, &'m str, &'static str);
type Bound<'m> = BTreeSet<&'m str>;

struct Check<'m> {
    module: &'m Module,
    /// Names that stand for documents, rules and imports.
    globals: BTreeSet<String>,
    binding_heads: &'m Cell<bool>,
}

impl<'m> Check<'m> {
    fn rule(&self, rule: &'m Rule) -> Result<(), Unsafe<'m>> {
        let Rule::Spec { head, bodies, .. } = rule else { return Ok(()) };
        let mut bound = Bound::new();
        if let Head::Func { args, .. } = head {
            args.iter().for_each(|arg| mention(arg, &mut bound));
        }
        if bodies.is_empty() {
            self.head(head, &bound)?;
        }
        bodies.iter().try_for_each(|body| self.body(head, body, &bound))
    }

    fn body(&self, head: &'m Head, body: &'m Body, bound: &Bound<'m>) -> Result<(), Unsafe<'m>> {
        let bound = self.query(&body.query, bound)?;
        if !body.is_else {
            self.head(head, &bound)?;
        }
        let assigned = body.assign.as_ref().map(|assign| &assign.value);
        self.terms(assigned, &bound)
    }

    fn head(&self, head: &'m Head, bound: &Bound<'m>) -> Result<(), Unsafe<'m>> {
        self.terms(head.keys().into_iter().chain(head.yields()), bound)
    }

    /// What a query yields. References in it are evaluated as if they stood in the query, so their indices are bound.
    fn terms(
        &self,
        terms: impl IntoIterator<Item = &'m Expr>,
        bound: &Bound<'m>,
    ) -> Result<(), Unsafe<'m>> {
        let terms: Vec<&Expr> = terms.into_iter().collect();
        let mut indices = Bound::new();
        terms.iter().for_each(|term| mention_indices(term, &mut indices));
        if indices.iter().any(|name| !bound.contains(name) && !self.globals.contains(*name)) {
            self.binding_heads.set(true);
        }
        indices.remove("_");
        let bound = indices.union(bound).copied().collect();
        terms.into_iter().try_for_each(|term| self.expr(term, &bound, Some(IN_HEAD)))
    }

    /// Checks a query and returns what is bound after it.
    fn query(&self, query: &'m Query, outer: &Bound<'m>) -> Result<Bound<'m>, Unsafe<'m>> {
        let mut bound = outer.clone();
        for statement in &query.stmts {
            bound_by(statement, &mut bound);
        }
        for statement in &query.stmts {
            let negated = matches!(statement.literal, Literal::NotExpr { .. });
            for with in &statement.with_mods {
                self.expr(&with.r#as, &bound, Some(if negated { UNDER_NOT } else { IN_BODY }))?;
            }
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection } => {
                    for part in key.iter().chain([value, collection]) {
                        self.expr(part, &bound, Some(IN_BODY))?;
                    }
                }
                Literal::Expr { expr } => self.expr(expr, &bound, Some(IN_BODY))?,
                Literal::NotExpr { expr } => self.expr(expr, &bound, Some(UNDER_NOT))?,
                Literal::Every { key, value, domain, query } => {
                    self.expr(domain, &bound, Some(IN_BODY))?;
                    let mut bound = bound.clone();
                    bound.extend(key.iter().chain([value]).map(|span| self.module.text(*span)));
                    self.query(query, &bound)?;
                }
            }
        }
        Ok(bound)
    }

    /// Walks an expression; its own variables are checked when there is a reason to give, those of queries in it in
    /// any case.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are their parts")]
    fn expr(
        &self,
        expr: &'m Expr,
        bound: &Bound<'m>,
        why: Option<&'static str>,
    ) -> Result<(), Unsafe<'m>> {
        match expr {
            Expr::Var { span, value } => match why {
                Some(IN_BODY) if value == "_" => Ok(()),
                Some(why) if !bound.contains(value.as_str()) && !self.globals.contains(value) => {
                    Err((*span, value, why))
                }
                _ => Ok(()),
            },
            Expr::ArrayCompr { term, query } | Expr::SetCompr { term, query } => {
                let bound = self.query(query, bound)?;
                self.terms([term.as_ref()], &bound)
            }
            Expr::ObjectCompr { key, value, query } => {
                let bound = self.query(query, bound)?;
                self.terms([key.as_ref(), value.as_ref()], &bound)
            }
            other => parts(other).into_iter().try_for_each(|part| self.expr(part, bound, why)),
        }
    }
}

/// Adds the variables that a statement may bind.
fn bound_by<'m>(statement: &'m Statement, bound: &mut Bound<'m>) {
    match &statement.literal {
        // `some x` only declares.
        Literal::SomeVars { .. } | Literal::NotExpr { .. } => return,
        Literal::SomeIn { key, value, collection } => {
            key.iter().chain([value, collection]).for_each(|part| mention(part, bound));
        }
        Literal::Expr { expr: expr @ Expr::Assign { .. } } => mention(expr, bound),
        Literal::Expr { expr: expr @ Expr::Call { params, .. } } => {
            mention_indices(expr, bound);
            // It may receive the value.
            params.last().into_iter().for_each(|last| mention(last, bound));
        }
        Literal::Expr { expr } | Literal::Every { domain: expr, .. } => {
            mention_indices(expr, bound)
        }
    }
    statement.with_mods.iter().for_each(|with| mention_indices(&with.r#as, bound));
}

/// Adds every variable of an expression, but not those of queries in it, which are their own.
fn mention<'m>(expr: &'m Expr, bound: &mut Bound<'m>) {
    if let Expr::Var { value, .. } = expr {
        bound.insert(value);
    }
    parts(expr).into_iter().for_each(|part| mention(part, bound));
}

/// Adds the variables with which references in an expression are indexed.
fn mention_indices<'m>(expr: &'m Expr, bound: &mut Bound<'m>) {
    if let Expr::RefBrack { index, .. } = expr {
        mention(index, bound);
    }
    parts(expr).into_iter().for_each(|part| mention_indices(part, bound));
}

/// `xs[_]` says that there is some element, everywhere.
fn is_wildcard(index: &Expr) -> bool {
    matches!(index, Expr::Var { value, .. } if value == "_")
}

/// The expressions that an expression is made of, apart from those of queries and the index `_`.
#[expect(clippy::wildcard_enum_match_arm, reason = "all others are their parts")]
fn parts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::RefBrack { refr, index } if is_wildcard(index) => vec![refr],
        other => walk::parts(other),
    }
}

#[cfg(test)]
mod tests;
