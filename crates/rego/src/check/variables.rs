//! Variables and arguments that nothing uses, and names that hide others.

#![expect(clippy::wildcard_enum_match_arm, reason = "only names, patterns and queries matter")]

use std::collections::{BTreeMap, BTreeSet};

use super::Subject;
use crate::Diagnostic;
use crate::definition::name_span;
use crate::facts::{aliased, imports};
use crate::syntax::{
    AssignOp, Body, Expr, Head, Literal, Module, Query, Rule, Span, Statement, constant_path,
};
use crate::walk;

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for module in &subject.modules {
        let mut outer: BTreeSet<String> = imports(module).into_keys().collect();
        outer.extend(["input", "data"].map(str::to_owned));
        let mut walk = Walk { module, outer, scopes: Vec::new(), found };
        module.rules.iter().for_each(|rule| walk.rule(rule));
    }
}

/// A name that was declared.
struct Declared {
    span: Span,
    used: bool,
    argument: bool,
}

struct Walk<'m, 'f> {
    module: &'m Module,
    /// Names that stand for documents and imports.
    outer: BTreeSet<String>,
    scopes: Vec<BTreeMap<String, Declared>>,
    found: &'f mut Vec<Diagnostic>,
}

impl<'m> Walk<'m, '_> {
    fn rule(&mut self, rule: &'m Rule) {
        let Rule::Spec { head, bodies, .. } = rule else { return };
        self.scopes.push(BTreeMap::new());
        if let Head::Func { args, .. } = head {
            args.iter().for_each(|arg| self.declare(arg, true));
        }
        if bodies.is_empty() {
            self.head(head);
        }
        bodies.iter().for_each(|body| self.body(head, body));
        self.close();
    }

    fn body(&mut self, head: &'m Head, body: &'m Body) {
        self.query(&body.query, |walk| {
            if !body.is_else {
                walk.head(head);
            }
            body.assign.iter().for_each(|assign| walk.expr(&assign.value));
        });
    }

    fn head(&mut self, head: &'m Head) {
        head.keys().into_iter().chain(head.yields()).for_each(|part| self.expr(part));
    }

    /// A query in a scope of its own, and what it yields.
    fn query(&mut self, query: &'m Query, yields: impl FnOnce(&mut Self)) {
        self.scopes.push(BTreeMap::new());
        // What is declared anywhere in a query is known in all of it.
        query.stmts.iter().for_each(|statement| self.declared_by(&statement.literal));
        query.stmts.iter().for_each(|statement| self.statement(statement));
        yields(self);
        self.close();
    }

    fn declared_by(&mut self, literal: &'m Literal) {
        match literal {
            Literal::SomeVars { vars } => {
                vars.iter()
                    .for_each(|span| self.declare_name(self.module.text(*span), *span, false));
            }
            Literal::SomeIn { key, value, .. } => {
                key.iter().chain([value]).for_each(|part| self.declare(part, false));
            }
            Literal::Expr { expr: Expr::Assign { op: AssignOp::ColEq, lhs, .. } } => {
                self.declare(lhs, false);
            }
            Literal::Expr { .. } | Literal::NotExpr { .. } | Literal::Every { .. } => {}
        }
    }

    fn statement(&mut self, statement: &'m Statement) {
        for with in &statement.with_mods {
            self.expr(&with.refr);
            self.expr(&with.r#as);
        }
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { collection, .. } => self.expr(collection),
            Literal::Expr { expr: Expr::Assign { op: AssignOp::ColEq, rhs, .. } } => self.expr(rhs),
            Literal::Expr { expr } | Literal::NotExpr { expr } => self.expr(expr),
            Literal::Every { key, value, domain, query } => {
                self.expr(domain);
                self.scopes.push(BTreeMap::new());
                for span in key.iter().chain([value]) {
                    self.declare_name(self.module.text(*span), *span, false);
                }
                self.query(query, |_| {});
                self.close();
            }
        }
    }

    fn expr(&mut self, expr: &'m Expr) {
        match expr {
            Expr::Var { value, .. } => {
                let known = self.scopes.iter_mut().rev().find_map(|scope| scope.get_mut(value));
                if let Some(declared) = known {
                    declared.used = true;
                }
            }
            Expr::ArrayCompr { term, query } | Expr::SetCompr { term, query } => {
                self.query(query, |walk| walk.expr(term));
            }
            Expr::ObjectCompr { key, value, query } => self.query(query, |walk| {
                walk.expr(key);
                walk.expr(value);
            }),
            other => walk::parts(other).into_iter().for_each(|part| self.expr(part)),
        }
    }

    /// Declares the variables of a pattern; what else is in it is used.
    fn declare(&mut self, pattern: &'m Expr, argument: bool) {
        match pattern {
            Expr::Var { value, span } => self.declare_name(value, *span, argument),
            Expr::Array { items } => items.iter().for_each(|item| self.declare(item, argument)),
            Expr::Object { fields } => {
                for (_, key, value) in fields {
                    self.expr(key);
                    self.declare(value, argument);
                }
            }
            other => self.expr(other),
        }
    }

    fn declare_name(&mut self, name: &str, span: Span, argument: bool) {
        if name == "_" {
            return;
        }
        if self.outer.contains(name) {
            let message = format!("variable `{name}` hides the document of this name");
            let hint = "choose another name";
            self.found.push(self.module.error(span, "shadowed-name", message, hint).warning());
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.entry(name.to_owned()).or_insert(Declared { span, used: false, argument });
        }
    }

    /// Ends a scope and names what was not used in it.
    fn close(&mut self) {
        for (name, declared) in self.scopes.pop().into_iter().flatten().filter(|it| !it.1.used) {
            let (code, what, hint) = if declared.argument {
                ("unused-argument", "argument", "write `_` in its place")
            } else {
                ("unused-variable", "variable", "leave it out, or write `_` in its place")
            };
            let message = format!("{what} `{name}` is not used");
            self.found.push(self.module.error(declared.span, code, message, hint).warning());
        }
    }
}

/// Imports that nothing uses, and names that are imported twice.
pub(super) fn check_imports(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for module in &subject.modules {
        let mut used = BTreeSet::new();
        for rule in &module.rules {
            walk::each_expr(rule, &mut |expr| match expr {
                Expr::Var { value, .. } => {
                    used.insert(value.clone());
                }
                Expr::Call { fcn, .. } => {
                    let mut path = Vec::new();
                    constant_path(fcn, &mut path);
                    used.extend(path.into_iter().next());
                }
                _ => {}
            });
        }
        let mut known = BTreeSet::new();
        for import in &module.imports {
            let (Some((alias, _)), Some(span)) = (aliased(module, import), name_span(&import.refr))
            else {
                continue;
            };
            if !known.insert(alias.clone()) {
                let message = format!("`{alias}` is imported twice");
                let hint = "keep one, or give the other a name of its own (`as`)";
                found.push(module.error(span, "duplicate-import", message, hint).warning());
            } else if !used.contains(&alias) {
                let message = format!("import `{alias}` is not used");
                found.push(module.error(span, "unused-import", message, "leave it out").warning());
            }
        }
    }
}
