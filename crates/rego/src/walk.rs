//! Walks over syntax trees, for checks that look for one kind of expression wherever it stands.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a reference, a query or a pattern is one kind of expression"
)]

use std::collections::BTreeMap;

use crate::facts::imports;
use crate::syntax::{Body, Expr, Head, Literal, Module, Query, Rule, Statement, constant_path};

/// What a walk comes by.
pub(crate) enum Node<'m> {
    /// A statement, before what it is made of.
    Statement(&'m Statement),
    /// An expression, before what it is made of.
    Expr(&'m Expr),
}

/// Calls `look` with every expression of a rule, from the outside in.
pub(crate) fn each_expr<'m>(rule: &'m Rule, look: &mut impl FnMut(&'m Expr)) {
    each(rule, &mut |node| match node {
        Node::Expr(expr) => look(expr),
        Node::Statement(_) => {}
    });
}

/// Calls `look` with every statement and expression of a rule, from the outside in.
pub(crate) fn each<'m>(rule: &'m Rule, look: &mut impl FnMut(Node<'m>)) {
    match rule {
        Rule::Default { value, .. } => expr(value, look),
        Rule::Spec { head, bodies, .. } => {
            if let Head::Func { args, .. } = head {
                args.iter().for_each(|arg| expr(arg, look));
            }
            expr(head.refr(), look);
            head.yields().into_iter().for_each(|part| expr(part, look));
            for body in bodies {
                query(&body.query, look);
                body.assign.iter().for_each(|assign| expr(&assign.value, look));
            }
        }
    }
}

fn query<'m>(query: &'m Query, look: &mut impl FnMut(Node<'m>)) {
    for statement in &query.stmts {
        look(Node::Statement(statement));
        for with in &statement.with_mods {
            expr(&with.refr, look);
            expr(&with.r#as, look);
        }
        in_literal(&statement.literal, look);
    }
}

fn in_literal<'m>(literal: &'m Literal, look: &mut impl FnMut(Node<'m>)) {
    match literal {
        Literal::SomeVars { .. } => {}
        Literal::SomeIn { key, value, collection } => {
            key.iter().chain([value, collection]).for_each(|part| expr(part, look));
        }
        Literal::Expr { expr: part } | Literal::NotExpr { expr: part } => expr(part, look),
        Literal::Every { domain, query: inner, .. } => {
            expr(domain, look);
            query(inner, look);
        }
    }
}

fn expr<'m>(outer: &'m Expr, look: &mut impl FnMut(Node<'m>)) {
    look(Node::Expr(outer));
    parts(outer).into_iter().for_each(|part| expr(part, look));
    match outer {
        Expr::ArrayCompr { term, query: inner } | Expr::SetCompr { term, query: inner } => {
            expr(term, look);
            query(inner, look);
        }
        Expr::ObjectCompr { key, value, query: inner } => {
            expr(key, look);
            expr(value, look);
            query(inner, look);
        }
        _ => {}
    }
}

/// The expressions that an expression is made of, apart from those of comprehensions and the name of a function.
pub(crate) fn parts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number {}
        | Expr::Bool { .. }
        | Expr::Null {}
        | Expr::Var { .. }
        | Expr::ArrayCompr { .. }
        | Expr::SetCompr { .. }
        | Expr::ObjectCompr { .. } => Vec::new(),
        Expr::Array { items } | Expr::Set { items } => items.iter().collect(),
        Expr::Object { fields } => fields.iter().flat_map(|(_, key, value)| [key, value]).collect(),
        Expr::Call { params, .. } => params.iter().collect(),
        Expr::Unary { expr } => vec![expr],
        Expr::RefDot { refr, .. } => vec![refr],
        Expr::RefBrack { refr, index } => vec![refr, index],
        Expr::Union { lhs, rhs }
        | Expr::Compare { lhs, rhs, .. }
        | Expr::Arith { lhs, rhs }
        | Expr::Assign { lhs, rhs, .. } => vec![lhs, rhs],
        Expr::Membership { key, value, collection } => {
            key.iter().map(AsRef::as_ref).chain([value.as_ref(), collection.as_ref()]).collect()
        }
    }
}

/// The bodies of a rule; none for a default or a fact.
pub(crate) fn bodies(rule: &Rule) -> &[Body] {
    match rule {
        Rule::Spec { bodies, .. } => bodies,
        Rule::Default { .. } => &[],
    }
}

/// What the names of a file stand for, as far as they stand for parts of `input`.
pub(crate) struct Names {
    imports: BTreeMap<String, Vec<String>>,
}

impl Names {
    pub(crate) fn of(module: &Module) -> Self {
        Self { imports: imports(module) }
    }

    /// The constant part of a reference to `input`, below it, and whether that is all of the reference.
    pub(crate) fn input_path(&self, expr: &Expr) -> Option<(Vec<String>, bool)> {
        let mut path = Vec::new();
        let whole = constant_path(expr, &mut path);
        let (name, rest) = path.split_first()?;
        let imported = self.imports.get(name).and_then(|path| path.split_first());
        let base: &[String] = match imported {
            _ if name == "input" => &[],
            Some((root, base)) if root == "input" => base,
            _ => return None,
        };
        Some((base.iter().chain(rest).cloned().collect(), whole))
    }
}
