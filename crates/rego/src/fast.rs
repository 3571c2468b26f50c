//! Whether a set may run on the virtual machine of regorus, and the one edit that it needs.
//!
//! The virtual machine differs silently from the interpreter in places, each found by experiment:
//!
//! - `x := value` succeeds when the value is undefined, so that `allow if { x := input.missing }` would allow. The
//!   edit appends `; x == x` to each such statement, which fails then.
//! - An array or object comprehension keeps elements that are undefined.
//! - `default f(_) := value`, heads of several parts and heads whose key is an expression yield nothing or nonsense.
//! - Definitions that contradict each other yield nothing instead of an error.
//! - An operator (`+`, `-`, `*`, `/`, `%`, `&`, `|`) on values of a wrong type is undefined instead of an error, which
//!   for a `deny` would be the difference between denied and allowed.
//! - `key, value in collection` ignores the key.
//! - A rule with `else` does not go on to it when its value is undefined.
//! - `some x in c` over something that is no collection is undefined instead of an error, which for a `deny` would be
//!   the difference between denied and allowed.
//!
//! Sets with such constructs stay on the interpreter; so do those that the compiler refuses, and those for which the
//! two disagree on the inputs tried at load.

use crate::definition::{Definition, Shape, Worth};
use crate::fields::Fields;
use crate::graph::Graph;

/// Why a set cannot run on the virtual machine; `None` when nothing speaks against it.
pub fn objection(graph: &Graph) -> Option<String> {
    let untyped = graph
        .definitions()
        .iter()
        .any(|definition| definition.reads.fields().intersects(Fields::untyped()));
    graph.definitions().iter().enumerate().find_map(|(index, definition)| {
        let construct = construct(definition, untyped).or_else(|| {
            can_conflict(graph, index, definition)
                .then_some("definitions that can give different values")
        })?;
        Some(format!("`data.{}` uses {construct}", definition.path.join(".")))
    })
}

fn construct(definition: &Definition, untyped: bool) -> Option<&'static str> {
    let values_settled = || definition.values.iter().all(|worth| *worth != Worth::Computed);
    if definition.shape == (Shape::Default { function: true }) {
        return Some("a default function");
    }
    if definition.shape == (Shape::Object { plain: false }) {
        return Some("an object rule with values or computed keys");
    }
    if definition.deep_head || definition.path.len() > definition.package + 1 {
        return Some("a head of several parts");
    }
    if definition.uses_with {
        return Some("`with`");
    }
    if definition.has_else && !values_settled() {
        return Some("`else` after a computed value");
    }
    if definition.loose_element {
        return Some("an array or object comprehension over a computed element");
    }
    if definition.loose_operator {
        return Some("an operator on values that may be no numbers");
    }
    if definition.keyed_membership {
        return Some("`key, value in collection`");
    }
    if definition.pattern_assign {
        return Some("`:=` with a pattern");
    }
    if definition.loose_collection && untyped {
        return Some("`some .. in` over what may be no collection");
    }
    None
}

/// Whether another definition of the same rule can give another value.
fn can_conflict(graph: &Graph, index: usize, definition: &Definition) -> bool {
    if !matches!(definition.shape, Shape::Complete | Shape::Function) {
        return false;
    }
    let constant = |worth: &Worth| matches!(worth, Worth::True | Worth::False);
    let others = graph
        .definitions_of(&definition.path)
        .filter(|(other, facts)| *other != index && !matches!(facts.shape, Shape::Default { .. }));
    for (_, other) in others {
        let mut values = definition.values.iter().chain(&other.values);
        let first = values.next();
        if !first.is_some_and(constant) || values.any(|worth| Some(worth) != first) {
            return true;
        }
    }
    false
}
