//! The bound on what one evaluation works on.
//!
//! A time limit is looked at between the steps of an evaluation, never inside a builtin function, and nothing counts the
//! memory of an evaluation. Both grow with what a client sends, so that is bounded before.

use domain::PolicyInput;
use regorus::Value;

/// Bytes that a value takes besides its text.
const NODE: usize = 8;

/// Bytes of the parts of `input` that a client or a server chooses: what the rules read of it is not more.
pub(crate) fn bulk(input: &PolicyInput<'_>) -> usize {
    let length = |text: Option<&str>| text.map_or(0, str::len);
    let tool = input.server.tool.map_or(0, |tool| {
        length(tool.description.as_deref()) + length(tool.annotations.as_deref())
    });
    input.size + length(input.params) + length(input.arguments) + length(input.result) + tool
}

/// Refuses a value of more than `limit` bytes.
///
/// # Errors
///
/// Text for the operator.
pub(crate) fn weigh(value: &Value, limit: usize) -> Result<(), String> {
    rest(value, limit).map(drop).ok_or_else(|| too_much(limit))
}

/// How many times more bytes JSON may take as it is sent: white space and escapes.
const SPACIOUS: usize = 4;

/// Refuses what is far too long as it was sent, before it is read.
///
/// # Errors
///
/// Text for the operator.
pub(crate) fn bound(sent: usize, limit: usize) -> Result<(), String> {
    if sent / SPACIOUS > limit { Err(too_much(limit)) } else { Ok(()) }
}

fn too_much(limit: usize) -> String {
    format!(
        "the rules read more than {limit} bytes of the message; raise `policy.evaluation.max_input` or let them read less"
    )
}

/// What is left of `budget` after a value. The nesting of JSON is bounded where it is read.
fn rest(value: &Value, budget: usize) -> Option<usize> {
    let budget = budget.checked_sub(NODE)?;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Undefined => Some(budget),
        Value::String(text) => budget.checked_sub(text.len()),
        Value::Array(items) => items.iter().try_fold(budget, |budget, item| rest(item, budget)),
        Value::Set(items) => items.iter().try_fold(budget, |budget, item| rest(item, budget)),
        Value::Object(members) => {
            members.iter().try_fold(budget, |budget, (key, value)| rest(value, rest(key, budget)?))
        }
    }
}

#[cfg(test)]
mod tests;
