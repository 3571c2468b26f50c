//! What a test can reach: the conditions and values of a file, each with the lines that it stands on.

#![expect(clippy::wildcard_enum_match_arm, reason = "only comprehensions hold queries")]

use std::ops::RangeInclusive;

use crate::syntax::{Expr, Literal, Module, Query, Rule, Span};
use crate::walk;

impl Module {
    /// The lines of every condition, and of every value or member that a rule yields, in the order of the text. Values
    /// of `else` are left out: the interpreter does not say whether it reached them.
    /// A condition that holds conditions of its own (`every`, a comprehension) is followed by those.
    #[must_use]
    pub fn units(&self) -> Vec<RangeInclusive<u32>> {
        let mut spans = Vec::new();
        for rule in &self.rules {
            let Rule::Spec { head, bodies, .. } = rule else { continue };
            if let Some(yielded) = head.yields() {
                spans.push(head.span());
                inside(yielded, &mut spans);
            }
            for body in bodies {
                query(&body.query, &mut spans);
            }
        }
        spans.into_iter().map(|span| self.lines(span)).collect()
    }

    /// The lines that a span stands on.
    #[must_use]
    pub fn lines(&self, span: Span) -> RangeInclusive<u32> {
        let more = self.text(span).trim_end().matches('\n').count();
        span.line..=span.line.saturating_add(u32::try_from(more).unwrap_or(u32::MAX))
    }
}

fn query(asked: &Query, spans: &mut Vec<Span>) {
    for statement in &asked.stmts {
        match &statement.literal {
            // Declares and does nothing.
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { collection, .. } => {
                spans.push(statement.span);
                inside(collection, spans);
            }
            Literal::Expr { expr } | Literal::NotExpr { expr } => {
                spans.push(statement.span);
                inside(expr, spans);
            }
            Literal::Every { domain, query: inner, .. } => {
                spans.push(statement.span);
                inside(domain, spans);
                query(inner, spans);
            }
        }
    }
}

/// The conditions of comprehensions in an expression.
fn inside(expr: &Expr, spans: &mut Vec<Span>) {
    match expr {
        Expr::ArrayCompr { term, query: inner } | Expr::SetCompr { term, query: inner } => {
            inside(term, spans);
            query(inner, spans);
        }
        Expr::ObjectCompr { key, value, query: inner } => {
            inside(key, spans);
            inside(value, spans);
            query(inner, spans);
        }
        other => walk::parts(other).into_iter().for_each(|part| inside(part, spans)),
    }
}

#[cfg(test)]
mod tests;
