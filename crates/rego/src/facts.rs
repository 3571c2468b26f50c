//! What one definition of a rule reads, refers to and calls.
//!
//! Names are resolved as Rego does it: a local variable hides a rule, an import alias hides a builtin. Where the
//! meaning depends on a value (`data[x]`, `input[x]`), the whole subtree counts as read.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "most questions are about a few kinds of expression, and the answer for all others is the cautious one"
)]

use std::collections::{BTreeMap, BTreeSet};

use crate::builtins::UNBOUNDED;
use crate::definition::{CallSite, Definition, Edit, InputRef, Step, Worth, name_span};
use crate::read_set::ReadSet;
use crate::syntax::{
    AssignOp, Body, Expr, Head, Import, Literal, Module, Query, Rule, Span, Statement,
    constant_path,
};

/// Builtins whose value does not follow from their arguments.
const IMPURE: [&str; 4] = ["time.now_ns", "rand.intn", "uuid.rfc4122", "opa.runtime"];

/// The facts of every definition of a module; `package_rules` are the names of all rules of its package.
pub(crate) fn definitions(
    index: usize,
    module: &Module,
    package_rules: &BTreeSet<String>,
) -> Vec<Definition> {
    let imports = imports(module);
    module
        .rules
        .iter()
        .map(|rule| {
            let mut walk = Walk {
                module,
                package_rules,
                imports: &imports,
                scopes: Vec::new(),
                found: Definition::blank(index, module, rule),
            };
            walk.rule(rule);
            walk.found
        })
        .collect()
}

/// Name of a rule inside its package: the first component of the head.
pub(crate) fn rule_name(rule: &Rule) -> Option<String> {
    let mut path = Vec::new();
    constant_path(rule.refr(), &mut path);
    path.into_iter().next()
}

/// What the aliases of a file stand for, of imports of `data` and `input`.
pub(crate) fn imports(module: &Module) -> BTreeMap<String, Vec<String>> {
    module.imports.iter().filter_map(|import| aliased(module, import)).collect()
}

/// Alias and path of an import of `data` or `input`; `None` for any other, such as `rego.v1`.
pub(crate) fn aliased(module: &Module, import: &Import) -> Option<(String, Vec<String>)> {
    let mut path = Vec::new();
    constant_path(&import.refr, &mut path);
    path.first().filter(|root| *root == "data" || *root == "input")?;
    let alias = match import.r#as {
        Some(span) => module.text(span).to_owned(),
        None => path.last()?.clone(),
    };
    Some((alias, path))
}

struct Walk<'a> {
    module: &'a Module,
    package_rules: &'a BTreeSet<String>,
    imports: &'a BTreeMap<String, Vec<String>>,
    scopes: Vec<BTreeSet<String>>,
    found: Definition,
}

/// What a name at the root of a reference stands for.
enum Root {
    Input(Vec<String>),
    Data(Vec<String>),
    Local,
}

impl Walk<'_> {
    fn rule(&mut self, rule: &Rule) {
        match rule {
            Rule::Default { value, .. } => {
                self.worth(Some(value));
                self.expr(value);
            }
            Rule::Spec { head, bodies, .. } => {
                self.scopes.push(BTreeSet::new());
                if let Head::Func { args, .. } = head {
                    for arg in args {
                        self.declare(arg);
                    }
                }
                if bodies.is_empty() {
                    self.head(head);
                }
                for body in bodies {
                    self.body(head, body);
                }
                self.scopes.pop();
            }
        }
    }

    fn body(&mut self, head: &Head, body: &Body) {
        self.scopes.push(BTreeSet::new());
        self.statements(&body.query);
        if body.is_else {
            self.found.has_else = true;
            self.worth(body.assign.as_ref().map(|assign| &assign.value));
        } else {
            self.head(head);
        }
        if let Some(assign) = &body.assign {
            self.expr(&assign.value);
        }
        self.scopes.pop();
    }

    /// The head is walked inside the scope of a body, whose variables it uses.
    fn head(&mut self, head: &Head) {
        match head {
            Head::Set { key, .. } => {
                if let Some(key) = key {
                    self.expr(key);
                }
            }
            Head::Compr { assign, .. } | Head::Func { assign, .. } => {
                self.worth(assign.as_ref().map(|assign| &assign.value));
                head.keys().into_iter().for_each(|key| self.expr(key));
                if let Some(assign) = assign {
                    self.expr(&assign.value);
                }
            }
        }
    }

    fn worth(&mut self, value: Option<&Expr>) {
        let worth = match value {
            None | Some(Expr::Bool { value: true }) => Worth::True,
            Some(Expr::Bool { value: false }) => Worth::False,
            Some(Expr::Var { value, .. }) if self.is_local(value) => Worth::Local,
            Some(value) if self.is_settled(value, false) => Worth::Constant,
            Some(_) => Worth::Computed,
        };
        self.found.values.push(worth);
    }

    /// Whether a value is built of constants, and of local variables when `locals`; then it is never undefined.
    fn is_settled(&self, expr: &Expr, locals: bool) -> bool {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number {}
            | Expr::Bool { .. }
            | Expr::Null {} => true,
            Expr::Var { value, .. } => locals && self.is_local(value),
            Expr::Array { items } | Expr::Set { items } => {
                items.iter().all(|item| self.is_settled(item, locals))
            }
            Expr::Object { fields } => fields.iter().all(|(_, key, value)| {
                self.is_settled(key, locals) && self.is_settled(value, locals)
            }),
            _ => false,
        }
    }

    fn is_local(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains(name))
    }

    fn declare_name(&mut self, name: &str) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned());
        }
    }

    /// Declares the variables of a pattern and walks the rest of it.
    fn declare(&mut self, pattern: &Expr) {
        match pattern {
            Expr::Var { value, .. } => self.declare_name(value),
            Expr::Array { items } => items.iter().for_each(|item| self.declare(item)),
            Expr::Object { fields } => {
                for (_, key, value) in fields {
                    self.expr(key);
                    self.declare(value);
                }
            }
            other => self.expr(other),
        }
    }

    fn query(&mut self, query: &Query) {
        self.scopes.push(BTreeSet::new());
        self.statements(query);
        self.scopes.pop();
    }

    fn statements(&mut self, query: &Query) {
        for statement in &query.stmts {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        for with in &statement.with_mods {
            self.found.uses_with = true;
            // Replaced documents change what is read in ways that are not followed.
            self.found.reads = ReadSet::everything();
            self.expr(&with.refr);
            self.expr(&with.r#as);
        }
        match &statement.literal {
            Literal::SomeVars { vars } => {
                for span in vars {
                    self.declare_name(self.module.text(*span));
                }
            }
            Literal::SomeIn { key, value, collection } => {
                self.expr(collection);
                self.found.loose_collection |= !self.is_collection(collection);
                if let Some(key) = key {
                    self.declare(key);
                }
                self.declare(value);
            }
            Literal::Expr { expr: Expr::Assign { span, op: AssignOp::ColEq, lhs, rhs } } => {
                self.expr(rhs);
                match lhs.as_ref() {
                    Expr::Var { value, .. } if value != "_" => {
                        let end = self.module.past_quote(span.end);
                        self.found.guards.push(Edit::insert(end, format!("; {value} == {value}")));
                    }
                    _ => self.found.pattern_assign = true,
                }
                self.declare(lhs);
            }
            Literal::Expr { expr: Expr::Call { span, fcn, params } }
            | Literal::NotExpr { expr: Expr::Call { span, fcn, params } } => {
                self.call(*span, fcn, params, true);
            }
            Literal::Expr { expr } | Literal::NotExpr { expr } => self.expr(expr),
            Literal::Every { key, value, domain, query } => {
                self.expr(domain);
                self.scopes.push(BTreeSet::new());
                for span in key.iter().chain([value]) {
                    self.declare_name(self.module.text(*span));
                }
                self.query(query);
                self.scopes.pop();
            }
        }
    }

    /// Whether an expression is a collection for certain, or undefined.
    fn is_collection(&self, expr: &Expr) -> bool {
        const LISTS: [[&str; 3]; 6] = [
            ["input", "agent", "capabilities"],
            ["input", "agent", "tags"],
            ["input", "agent", "roles"],
            ["input", "session", "taints"],
            ["input", "session", "tools_used"],
            ["input", "context", "headers"],
        ];
        match expr {
            Expr::Array { .. }
            | Expr::Set { .. }
            | Expr::Object { .. }
            | Expr::ArrayCompr { .. }
            | Expr::SetCompr { .. }
            | Expr::ObjectCompr { .. } => true,
            Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                let mut path = Vec::new();
                constant_path(expr, &mut path);
                LISTS.iter().any(|list| path == *list)
            }
            _ => false,
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::String { value } | Expr::RawString { value } => {
                self.found.strings.insert(value.clone());
            }
            Expr::Number {} | Expr::Bool { .. } | Expr::Null {} => {}
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr),
            Expr::Array { items } | Expr::Set { items } => {
                items.iter().for_each(|item| self.expr(item))
            }
            Expr::Object { fields } => {
                for (_, key, value) in fields {
                    if let (Expr::String { value: key }, Expr::String { value: name }) =
                        (key, value)
                        && key == "rule"
                    {
                        self.found.names.insert(name.clone());
                    }
                    self.expr(key);
                    self.expr(value);
                }
            }
            Expr::ArrayCompr { term, query } => self.comprehension(&[term.as_ref()], query, true),
            Expr::SetCompr { term, query } => self.comprehension(&[term.as_ref()], query, false),
            Expr::ObjectCompr { key, value, query } => {
                self.comprehension(&[key.as_ref(), value.as_ref()], query, true);
            }
            Expr::Call { span, fcn, params } => {
                self.call(*span, fcn, params, false);
            }
            Expr::Unary { expr } => {
                self.found.loose_operator |= !is_number(expr);
                self.expr(expr);
            }
            Expr::Union { lhs, rhs } | Expr::Arith { lhs, rhs } => {
                self.found.loose_operator |= !is_number(lhs) || !is_number(rhs);
                self.expr(lhs);
                self.expr(rhs);
            }
            Expr::Compare { lhs, rhs, .. } | Expr::Assign { lhs, rhs, .. } => {
                self.expr(lhs);
                self.expr(rhs);
            }
            Expr::Membership { key, value, collection } => {
                if let Some(key) = key {
                    self.found.keyed_membership = true;
                    self.expr(key);
                }
                self.expr(value);
                self.expr(collection);
            }
        }
    }

    fn comprehension(&mut self, terms: &[&Expr], query: &Query, ordered: bool) {
        self.scopes.push(BTreeSet::new());
        self.statements(query);
        for term in terms {
            self.found.loose_element |= ordered && !self.is_settled(term, true);
            self.expr(term);
        }
        self.scopes.pop();
    }

    fn reference(&mut self, expr: &Expr) {
        let mut path = Vec::new();
        constant_path(expr, &mut path);
        self.indices(expr);
        let Some((name, rest)) = path.split_first() else { return };
        match self.root(name) {
            Root::Input(base) => {
                let mut steps: Vec<Step> = base.iter().cloned().map(Step::Key).collect();
                steps_of(expr, &mut steps);
                if let Some(span) = name_span(expr) {
                    self.found.input_refs.push(InputRef { path: steps, span });
                }
                self.found.reads.add(&joined(base, rest));
            }
            Root::Data(base) => {
                if let (true, Some(span)) = (self.is_alias(name), name_span(expr)) {
                    let text =
                        format!("data{}", base.iter().map(|part| step(part)).collect::<String>());
                    self.found.aliases.push(Edit { start: span.start, end: span.end, text });
                }
                self.found.refs.insert(joined(base, rest));
            }
            Root::Local => {}
        }
    }

    fn is_alias(&self, name: &str) -> bool {
        name != "data" && self.imports.contains_key(name)
    }

    /// Walks what a reference is indexed with, and what it starts from when that is no name.
    fn indices(&mut self, expr: &Expr) {
        match expr {
            Expr::RefDot { refr, .. } => self.indices(refr),
            Expr::RefBrack { refr, index } => {
                self.indices(refr);
                self.expr(index);
            }
            Expr::Var { .. } => {}
            other => self.expr(other),
        }
    }

    fn root(&self, name: &str) -> Root {
        if name == "input" {
            return Root::Input(Vec::new());
        }
        if name == "data" {
            return Root::Data(Vec::new());
        }
        if self.is_local(name) {
            return Root::Local;
        }
        if let Some((root, rest)) = self.imports.get(name).and_then(|path| path.split_first()) {
            let rest = rest.to_vec();
            return if root == "input" { Root::Input(rest) } else { Root::Data(rest) };
        }
        if self.package_rules.contains(name) {
            return Root::Data(joined(self.module.package.clone(), &[name.to_owned()]));
        }
        Root::Local
    }

    fn call(&mut self, span: Span, fcn: &Expr, params: &[Expr], statement: bool) {
        params.iter().for_each(|param| self.expr(param));
        let mut path = Vec::new();
        constant_path(fcn, &mut path);
        let name = path.join(".");
        let constant = match name.as_str() {
            // What is put in times where it is put in.
            "sprintf" | "concat" | "strings.replace_n" => params.first().is_some_and(is_written),
            "replace" | "regex.replace" => params.get(2).is_none_or(is_written),
            // Makes a number of as many bits.
            "bits.lsh" => params.get(1).is_none_or(is_written),
            name if UNBOUNDED.contains(&name) => params.iter().all(is_written),
            _ => true,
        };
        let site = CallSite { name, span, given: params.len(), statement, constant };
        let Some((name, rest)) = path.split_first() else { return };
        let root = if self.is_local(name) { Root::Local } else { self.root(name) };
        if let Root::Data(base) = root {
            let path = joined(base, rest);
            self.found.refs.insert(path.clone());
            self.found.user_calls.push((path, site));
        } else {
            self.found.impure |= IMPURE.contains(&site.name.as_str());
            self.found.builtin_calls.push(site);
        }
    }
}

/// One constant step of a reference, in brackets so that any text may stand in it.
fn step(part: &str) -> String {
    format!("[{}]", serde_json::Value::from(part))
}

/// Appends the steps of a reference below its root, as written.
fn steps_of(expr: &Expr, steps: &mut Vec<Step>) {
    match expr {
        Expr::RefDot { refr, field } => {
            steps_of(refr, steps);
            steps.push(Step::Key(field.1.clone()));
        }
        Expr::RefBrack { refr, index } => {
            steps_of(refr, steps);
            steps.push(match index.as_ref() {
                Expr::String { value } | Expr::RawString { value } => Step::Key(value.clone()),
                _ => Step::Dynamic,
            });
        }
        _ => {}
    }
}

fn joined(mut base: Vec<String>, rest: &[String]) -> Vec<String> {
    base.extend_from_slice(rest);
    base
}

/// Whether an expression is a number that is written down, or calculated from such.
#[expect(clippy::wildcard_enum_match_arm, reason = "everything else may be anything")]
fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Number {} => true,
        Expr::Unary { expr } => is_number(expr),
        Expr::Arith { lhs, rhs } => is_number(lhs) && is_number(rhs),
        _ => false,
    }
}

/// Whether an expression is a literal text or number, or an object of such.
#[expect(clippy::wildcard_enum_match_arm, reason = "everything else may be anything")]
fn is_written(expr: &Expr) -> bool {
    match expr {
        Expr::String { .. } | Expr::RawString { .. } => true,
        Expr::Object { fields } => {
            fields.iter().all(|(_, key, value)| is_written(key) && is_written(value))
        }
        other => is_number(other),
    }
}
