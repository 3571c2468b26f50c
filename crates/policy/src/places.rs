//! Where the rules stand that decided.
//!
//! Numbered definitions say it themselves (see [`crate::numbering`]). Of the others it is known as far as it can be read off
//! the text: from the name of the rule, when one definition alone mentions it, or from the verdict rule, when that has
//! one definition.

use std::collections::HashMap;
use std::sync::Arc;

use rego::graph::Graph;
use rego::syntax::Module;
use serde_json::{Value, json};

use crate::reason::Said;
use crate::role::Role;

/// Most places that are named for one rule.
const MAX_PLACES: usize = 8;

/// The places of the definitions of a set.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// By number of the definition: `file:line`.
    definitions: Vec<Arc<str>>,
    /// The definitions that mention a text.
    mentions: HashMap<String, Vec<usize>>,
    /// The definitions of the rules of the verdict, in the order of [`Role::ALL`].
    roles: Vec<(Role, Vec<usize>)>,
    /// What [`Places::of_grant`] says of a rule that has no other name.
    grants: Vec<(Role, Arc<str>)>,
}

impl Places {
    pub(crate) fn new(graph: &Graph, modules: &[Module]) -> Self {
        let mut places = Self::default();
        for (index, definition) in graph.definitions().iter().enumerate() {
            let file = modules.get(definition.module).map_or("", |module| &module.file.name);
            places.definitions.push(format!("{file}:{}", definition.span.line).into());
            for text in &definition.strings {
                places.mentions.entry(text.clone()).or_default().push(index);
            }
        }
        places.roles = Role::ALL.map(|role| (role, graph.named(&role.path()))).into();
        places.grants = Role::ALL
            .iter()
            .filter_map(|role| Some((*role, written(&places.entries(*role, None)?)?)))
            .collect();
        places
    }

    /// The place of a reason: that of the definition `origin`, or the only one that it can be.
    pub(crate) fn at(
        &self,
        role: Role,
        origin: Option<usize>,
        rule: Option<&str>,
    ) -> Option<Arc<str>> {
        let place = match (origin, self.candidates(role, rule)) {
            (Some(origin), _) => origin,
            (None, [only]) => *only,
            (None, _) => return None,
        };
        self.definitions.get(place).cloned()
    }

    /// The rules that deny: a JSON array of objects with `rule` and `at`.
    pub(crate) fn of_denial(&self, said: &[Said]) -> Option<Arc<str>> {
        let mut entries: Vec<Value> = Vec::new();
        for said in said.iter().filter(|said| said.reason.denies()) {
            let rule = said.reason.rule.as_deref();
            let found = match &said.reason.at {
                Some(at) => vec![entry(said.role, rule, at)],
                None => self.entries(said.role, rule).unwrap_or_default(),
            };
            for entry in found {
                if !entries.contains(&entry) && entries.len() < 4 * MAX_PLACES {
                    entries.push(entry);
                }
            }
        }
        written(&entries)
    }

    /// The rule that grants, under its own name when it has one.
    pub(crate) fn of_grant(&self, role: Role, rule: Option<&str>) -> Option<Arc<str>> {
        match rule.filter(|rule| *rule != role.name()) {
            Some(rule) => written(&self.entries(role, Some(rule))?),
            // A text of its own: threads that share one would wait for each other's counts.
            None => {
                let (_, text) = self.grants.iter().find(|(known, _)| *known == role)?;
                Some(Arc::from(&**text))
            }
        }
    }

    fn entries(&self, role: Role, rule: Option<&str>) -> Option<Vec<Value>> {
        let found = self.candidates(role, rule).iter().take(MAX_PLACES);
        let entries: Vec<Value> = found
            .filter_map(|index| self.definitions.get(*index))
            .map(|at| entry(role, rule, at))
            .collect();
        (!entries.is_empty()).then_some(entries)
    }

    /// The definitions that may be meant: those that mention the rule's name, else those of the verdict rule.
    fn candidates(&self, role: Role, rule: Option<&str>) -> &[usize] {
        let named = rule.and_then(|rule| self.mentions.get(rule));
        let own = self.roles.iter().find(|(known, _)| *known == role).map(|(_, own)| own);
        named.or(own).map(Vec::as_slice).unwrap_or_default()
    }
}

fn entry(role: Role, rule: Option<&str>, at: &str) -> Value {
    json!({ "rule": rule.unwrap_or(role.name()), "at": at })
}

fn written(entries: &[Value]) -> Option<Arc<str>> {
    (!entries.is_empty()).then(|| Value::from(entries.to_vec()).to_string().into())
}

#[cfg(test)]
mod tests;
