//! The Rego module of a policy.
//!
//! Each rule of the file becomes a rule `json_<name>_r<n>` that is true when it matches; a denial is a member of
//! `violations` that no allowing rule of a higher priority of the same file outranks. So the matching rule of the
//! highest priority decides, and at equal priority denial does.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::condition::{Condition, Test};
use crate::model::{Action, Document, Kind, Piece, Rule, Whose, Window};
use crate::quote;

/// Longest piece of a message on a line, in characters: escapes take six columns each.
const PIECE: usize = 120;

/// Writes the module.
pub(crate) fn write(document: &Document) -> String {
    let prefix = format!("json_{}", mangled(&document.name));
    let mut module = Module { prefix, text: String::new(), conditions: 0, fields: Vec::new() };
    module.text.push_str("# Compiled from a JSON policy.\npackage mcp.policy\n\nimport rego.v1\n");
    for (index, rule) in document.rules.iter().enumerate() {
        module.matches(index, rule);
    }
    module.outranking(document);
    for (index, rule) in document.rules.iter().enumerate() {
        if rule.action == Action::Deny {
            module.denial(document, index, rule);
        }
    }
    module.defaults(document);
    module.text
}

/// A name as a part of a Rego name: two names never become one.
fn mangled(name: &str) -> String {
    name.replace('_', "__").replace('-', "_h")
}

struct Module {
    /// What the names of all rules begin with.
    prefix: String,
    text: String,
    /// How many rules for conditions there are.
    conditions: usize,
    /// The fields that messages show.
    fields: Vec<Vec<String>>,
}

impl Module {
    /// Writes `name if { body }`.
    fn rule(&mut self, name: &str, body: &[String]) {
        let lines: String = body.iter().map(|line| format!("\t{line}\n")).collect();
        self.text.push_str(&format!("\n{name} if {{\n{lines}}}\n"));
    }

    fn matching(&self, index: usize) -> String {
        format!("{}_r{index}", self.prefix)
    }

    fn applying(&self, index: usize) -> String {
        format!("{}_a{index}", self.prefix)
    }

    fn outranked(&self, priority: i64) -> String {
        let sign = if priority < 0 { "m" } else { "p" };
        format!("{}_above_{sign}{}", self.prefix, priority.unsigned_abs())
    }

    /// The rule that is true when `rule` matches.
    fn matches(&mut self, index: usize, rule: &Rule) {
        let name = self.matching(index);
        match &rule.kind {
            Kind::Capability { tool, capability } => {
                let holds = format!("{}_c{index}", self.prefix);
                self.holding(&holds, capability);
                let negated = if rule.action == Action::Deny { "not " } else { "" };
                let called = format!("input.tool == {}", quote::string(tool));
                self.rule(
                    &name,
                    &[
                        "input.method == \"tools/call\"".to_owned(),
                        called,
                        format!("{negated}{holds}"),
                    ],
                );
            }
            Kind::Listed { field: "tool", values } => {
                let values: Vec<Value> =
                    values.iter().map(|value| value.to_lowercase().into()).collect();
                self.rule(&name, &[format!("lower(input.tool) in {}", quote::set(&values))]);
            }
            Kind::Listed { field, values } => {
                let values: Vec<Value> = values.iter().map(|value| value.as_str().into()).collect();
                self.rule(&name, &[format!("input.{field} in {}", quote::set(&values))]);
            }
            Kind::RateLimit { limit, whose, window } => {
                let applies = self.applying(index);
                self.rule(&applies, &[concerns(whose)]);
                if *window == Window::Session {
                    self.rule(&name, &[format!("input.session.request_count > {limit}"), applies]);
                }
            }
            Kind::Custom(condition) => {
                let body = self.body(condition);
                self.rule(&name, &body);
            }
        }
    }

    /// `read:files` is granted by `read:files`, `read:*` and `*`.
    fn holding(&mut self, name: &str, capability: &str) {
        let capability = quote::string(capability);
        self.rule(name, &[format!("{capability} in input.agent.capabilities")]);
        self.rule(
            name,
            &[
                "held := input.agent.capabilities[_]".to_owned(),
                "endswith(held, \"*\")".to_owned(),
                format!("startswith({capability}, trim_suffix(held, \"*\"))"),
            ],
        );
    }

    /// The lines that hold when the condition does.
    fn body(&mut self, condition: &Condition) -> Vec<String> {
        match condition {
            Condition::All(all) => all.iter().flat_map(|condition| self.body(condition)).collect(),
            Condition::Any(any) => {
                let bodies: Vec<_> = any.iter().map(|condition| self.body(condition)).collect();
                vec![self.named(&bodies)]
            }
            Condition::Not(condition) => {
                let body = self.body(condition);
                vec![format!("not {}", self.named(&[body]))]
            }
            Condition::Is { path, test } => {
                let field = quote::input(path);
                let bodies = tested(&field, test);
                match <[_; 1]>::try_from(bodies) {
                    Ok([body]) => body,
                    Err(bodies) => vec![self.named(&bodies)],
                }
            }
        }
    }

    /// A rule of its own that is true when one of the bodies holds.
    fn named(&mut self, bodies: &[Vec<String>]) -> String {
        let name = format!("{}_if{}", self.prefix, self.conditions);
        self.conditions += 1;
        for body in bodies {
            self.rule(&name, body);
        }
        name
    }

    /// For each priority that some allowing rule outranks: whether one does.
    fn outranking(&mut self, document: &Document) {
        let denials = document.rules.iter().filter(|rule| rule.action == Action::Deny);
        let mut priorities: BTreeSet<i64> = denials.map(|rule| rule.priority).collect();
        priorities.extend(document.default_limit.map(|_| 0));
        for priority in priorities {
            for index in outranking(document, priority) {
                let (name, above) = (self.outranked(priority), self.matching(index));
                self.rule(&name, &[above]);
            }
        }
    }

    /// The lines that say that nothing outranks a denial.
    fn standing(&self, document: &Document, priority: i64) -> Option<String> {
        let outranked = !outranking(document, priority).is_empty();
        outranked.then(|| format!("not {}", self.outranked(priority)))
    }

    fn denial(&mut self, document: &Document, index: usize, rule: &Rule) {
        let standing = self.standing(document, rule.priority);
        if let Kind::RateLimit { limit, window: Window::Sliding(per), .. } = &rule.kind {
            let obligation = format!(
                "{{\"action\": \"rate_limit\", \"key\": [\"agent\"], \"per\": \"{per}\", \"limit\": {limit}}}"
            );
            let body: Vec<_> = [self.applying(index)].into_iter().chain(standing).collect();
            return self.rule(&format!("obligations contains {obligation}"), &body);
        }
        let body = [self.matching(index)].into_iter().chain(standing).collect();
        let id = format!("{}/{}", document.name, rule.id);
        self.violation(&id, &rule.message, body);
    }

    fn violation(&mut self, id: &str, message: &[Piece], mut body: Vec<String>) {
        body.push(format!("text := {}", self.message(message)));
        let member = format!("{{\"msg\": text, \"rule\": {}}}", quote::string(id));
        self.rule(&format!("violations contains {member}"), &body);
    }

    fn defaults(&mut self, document: &Document) {
        let name = &document.name;
        if let Some(limit) = document.default_limit {
            let limited = |(index, rule): (usize, &Rule)| {
                matches!(rule.kind, Kind::RateLimit { .. })
                    .then(|| format!("not {}", self.applying(index)))
            };
            let mut body = vec![format!("input.session.request_count > {limit}")];
            body.extend(document.rules.iter().enumerate().filter_map(limited));
            body.extend(self.standing(document, 0));
            let message = [Piece::Text(format!("more than {limit} requests"))];
            self.violation(&format!("{name}/default_rate_limit"), &message, body);
        }
        if document.denies_by_default {
            let allowed = |(index, rule): (usize, &Rule)| {
                (rule.action == Action::Allow).then(|| format!("not {}", self.matching(index)))
            };
            let mut body: Vec<_> = document.rules.iter().enumerate().filter_map(allowed).collect();
            body.push("not data.mcp.baseline.allow".to_owned());
            let message = [Piece::Text(format!("no rule of policy `{name}` allows this"))];
            self.violation(&format!("{name}/default"), &message, body);
        }
    }

    /// The message as an expression. A field that the message lacks shows as `unknown`: a denial must not fail for want
    /// of a word.
    fn message(&mut self, pieces: &[Piece]) -> String {
        let mut parts = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    let text: Vec<char> = text.chars().collect();
                    let lines = text
                        .chunks(PIECE)
                        .map(|line| quote::string(&line.iter().collect::<String>()));
                    parts.extend(lines);
                }
                Piece::Field(path) => parts.push(self.field(path)),
            }
        }
        format!("concat(\"\", [\n{}\n])", parts.join(",\n"))
    }

    /// The rule that gives the text of a field.
    fn field(&mut self, path: &[String]) -> String {
        let known = self.fields.iter().position(|known| known == path);
        let index = known.unwrap_or(self.fields.len());
        let name = format!("{}_f{index}", self.prefix);
        if known.is_none() {
            self.fields.push(path.to_vec());
            let value = quote::input(path);
            self.text.push_str(&format!(
                "\ndefault {name} := \"unknown\"\n\n{name} := sprintf(\"%v\", [{value}])\n"
            ));
        }
        name
    }
}

/// The allowing rules of a higher priority.
fn outranking(document: &Document, priority: i64) -> Vec<usize> {
    let above =
        |(_, rule): &(usize, &Rule)| rule.action == Action::Allow && rule.priority > priority;
    document.rules.iter().enumerate().filter(above).map(|(index, _)| index).collect()
}

fn concerns(whose: &Whose) -> String {
    match whose {
        Whose::Everybody => "input.agent".to_owned(),
        Whose::Agent(id) => format!("input.agent.id == {}", quote::string(id)),
        Whose::Pattern(pattern) => {
            format!("regex.match({}, input.agent.id)", quote::string(pattern))
        }
    }
}

/// The bodies of which one holds when the field passes the test. A field of another type than the test is about never
/// passes.
fn tested(field: &str, test: &Test) -> Vec<Vec<String>> {
    let string = |line: String| vec![vec![format!("is_string({field})"), line]];
    let one = |line: String| vec![vec![line]];
    match test {
        Test::Equal(value) => one(format!("{field} == {}", quote::value(value))),
        Test::NotEqual(value) => one(format!("{field} != {}", quote::value(value))),
        Test::Order(operator, value @ Value::String(_)) => {
            string(format!("{field} {operator} {}", quote::value(value)))
        }
        Test::Order(operator, value) => {
            vec![vec![
                format!("is_number({field})"),
                format!("{field} {operator} {}", quote::value(value)),
            ]]
        }
        Test::Contains(value) => {
            let element = vec![
                format!("is_array({field})"),
                format!("{field}[_] == {}", quote::value(value)),
            ];
            let part = |text: &str| {
                vec![
                    format!("is_string({field})"),
                    format!("contains({field}, {})", quote::string(text)),
                ]
            };
            value.as_str().map(part).into_iter().chain([element]).collect()
        }
        Test::StartsWith(text) => string(format!("startswith({field}, {})", quote::string(text))),
        Test::EndsWith(text) => string(format!("endswith({field}, {})", quote::string(text))),
        Test::Matches(pattern) => {
            string(format!("regex.match({}, {field})", quote::string(pattern)))
        }
        Test::In(values) => one(format!("{field} in {}", quote::set(values))),
        Test::NotIn(values) => {
            vec![vec![format!("value := {field}"), format!("not value in {}", quote::set(values))]]
        }
    }
}
