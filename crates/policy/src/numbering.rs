//! Numbers for definitions: each member of `deny` and `violations` tells which of them said it.
//!
//! In the texts that serve, the head of a definition is edited so that its member stands in an array behind the number
//! of the definition: `deny contains m if …` becomes `deny contains [7, m] if …`, and `deny if …`, which says no more
//! than that it denies, becomes `deny contains [7] if …`. That costs nothing until a definition denies. Only rules that
//! nothing else refers to are numbered, and only when each of their definitions can be.

use rego::definition::{Definition, Edit, Shape};
use rego::graph::Graph;
use rego::syntax::Module;

use crate::role::Role;

/// The edits that number the definitions of the rule `role`, with the index of the module; `None` when one of them
/// cannot be numbered.
pub(crate) fn edits(graph: &Graph, modules: &[Module], role: Role) -> Option<Vec<(usize, Edit)>> {
    let rule = graph.named(&role.path());
    let definitions =
        || rule.iter().filter_map(|index| Some((*index, graph.definitions().get(*index)?)));
    let mut shapes = definitions()
        .map(|(_, definition)| definition.shape)
        .filter(|shape| !matches!(shape, Shape::Default { .. }));
    let first = shapes.next()?;
    let speaks = match role {
        Role::Deny => true,
        Role::Violations => first != Shape::Complete,
        Role::Decision | Role::Allow | Role::Baseline | Role::Obligations => false,
    };
    if !speaks || !shapes.all(|shape| shape == first) {
        return None;
    }
    let mut all = Vec::new();
    for (number, definition) in definitions() {
        let module = modules.get(definition.module)?;
        let edits = of_head(number, definition, module)?;
        all.extend(edits.into_iter().map(|edit| (definition.module, edit)));
    }
    Some(all)
}

fn of_head(number: usize, definition: &Definition, module: &Module) -> Option<Vec<Edit>> {
    let (start, end) = (definition.name.end, module.past_quote(definition.head.end));
    let text = module.file.text.get(start..end)?;
    let replaced = |text: String| Some(vec![Edit { start, end, text }]);
    match definition.shape {
        Shape::Set => {
            let opening = text.len() - text.trim_start().len();
            let text = text.trim_start();
            let (before, behind) = if text.starts_with('[') && text.ends_with(']') {
                (opening + 1, end - 1)
            } else {
                text.strip_prefix("contains")?;
                (opening + "contains".len(), end)
            };
            Some(vec![
                Edit::insert(start + before, format!(" [{number}, ")),
                Edit::insert(behind, "]".to_owned()),
            ])
        }
        Shape::Object { plain: true } if !module.v0 => {
            let key = text.trim().strip_prefix('[')?.strip_suffix(']')?;
            replaced(format!(" contains [{number}, {key}]"))
        }
        Shape::Complete if !module.v0 => replaced(format!(" contains [{number}]")),
        Shape::Complete => {
            // Before `if`, regorus would read the brackets as the key of an object.
            let rest = module.file.text.get(end..)?.trim_start();
            rest.starts_with('{').then(|| replaced(format!("[[{number}]]")))?
        }
        Shape::Default { function: false } => {
            let span = definition.span;
            Some(vec![Edit { start: span.start, end: span.end, text: String::new() }])
        }
        Shape::Object { .. } | Shape::Function | Shape::Default { function: true } => None,
    }
}

#[cfg(test)]
mod tests;
