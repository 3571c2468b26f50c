//! Rego text to a typed syntax tree.
//!
//! The tree of regorus is private; it is read from the JSON form that its feature `ast` prints. What this module does
//! not know, it refuses: a construct that the checks cannot see must not be loaded.

use regorus::Engine;
use serde::Deserialize;

use crate::Diagnostic;
use crate::source::SourceFile;

/// A place in a source: line and column from 1, byte offsets.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Span {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub col: u32,
    /// Offset of the first byte.
    pub start: usize,
    /// Offset past the last byte.
    pub end: usize,
}

#[derive(Debug, Deserialize)]
pub(crate) enum Expr {
    String {
        value: String,
    },
    RawString {
        value: String,
    },
    Number {},
    Bool {
        value: bool,
    },
    Null {},
    Var {
        span: Span,
        value: String,
    },
    Array {
        items: Vec<Expr>,
    },
    Set {
        items: Vec<Expr>,
    },
    Object {
        fields: Vec<(Span, Expr, Expr)>,
    },
    ArrayCompr {
        term: Box<Expr>,
        query: Query,
    },
    SetCompr {
        term: Box<Expr>,
        query: Query,
    },
    ObjectCompr {
        key: Box<Expr>,
        value: Box<Expr>,
        query: Query,
    },
    Call {
        span: Span,
        fcn: Box<Expr>,
        params: Vec<Expr>,
    },
    #[serde(rename = "UnaryExpr")]
    Unary {
        expr: Box<Expr>,
    },
    RefDot {
        refr: Box<Expr>,
        field: (Span, String),
    },
    RefBrack {
        refr: Box<Expr>,
        index: Box<Expr>,
    },
    #[serde(rename = "BinExpr")]
    Union {
        lhs: Box<Expr>,
        rhs: Box<Expr>,
    },
    #[serde(rename = "BoolExpr")]
    Compare {
        op: CompareOp,
        lhs: Box<Expr>,
        rhs: Box<Expr>,
    },
    #[serde(rename = "ArithExpr")]
    Arith {
        lhs: Box<Expr>,
        rhs: Box<Expr>,
    },
    #[serde(rename = "AssignExpr")]
    Assign {
        span: Span,
        op: AssignOp,
        lhs: Box<Expr>,
        rhs: Box<Expr>,
    },
    Membership {
        key: Option<Box<Expr>>,
        value: Box<Expr>,
        collection: Box<Expr>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum AssignOp {
    /// `=`.
    Eq,
    /// `:=`.
    ColEq,
}

/// An operator that compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum CompareOp {
    /// `==`.
    Eq,
    /// `!=`.
    Ne,
    /// `<`.
    Lt,
    /// `<=`.
    Le,
    /// `>`.
    Gt,
    /// `>=`.
    Ge,
}

#[derive(Debug, Deserialize)]
pub(crate) enum Literal {
    SomeVars { vars: Vec<Span> },
    SomeIn { key: Option<Expr>, value: Expr, collection: Expr },
    Expr { expr: Expr },
    NotExpr { expr: Expr },
    Every { key: Option<Span>, value: Span, domain: Expr, query: Query },
}

#[derive(Debug, Deserialize)]
pub(crate) struct With {
    pub(crate) refr: Expr,
    pub(crate) r#as: Expr,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Statement {
    pub(crate) span: Span,
    pub(crate) literal: Literal,
    #[serde(default)]
    pub(crate) with_mods: Vec<With>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Query {
    pub(crate) stmts: Vec<Statement>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Assign {
    pub(crate) value: Expr,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Body {
    pub(crate) assign: Option<Assign>,
    pub(crate) is_else: bool,
    pub(crate) query: Query,
}

#[derive(Debug, Deserialize)]
pub(crate) enum Head {
    Compr { span: Span, refr: Expr, assign: Option<Assign> },
    Set { span: Span, refr: Expr, key: Option<Expr> },
    Func { span: Span, refr: Expr, args: Vec<Expr>, assign: Option<Assign> },
}

impl Head {
    /// The reference that names the rule.
    pub(crate) const fn refr(&self) -> &Expr {
        match self {
            Self::Compr { refr, .. } | Self::Set { refr, .. } | Self::Func { refr, .. } => refr,
        }
    }

    /// The keys in a name such as `name[key].member`, in the order of the text.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only references have keys")]
    pub(crate) fn keys(&self) -> Vec<&Expr> {
        let mut keys = Vec::new();
        let mut rest = self.refr();
        loop {
            rest = match rest {
                Expr::RefBrack { refr, index } => {
                    keys.push(index.as_ref());
                    refr
                }
                Expr::RefDot { refr, .. } => refr,
                _ => break,
            };
        }
        keys.reverse();
        keys
    }

    /// What it makes of a body that holds: member or value.
    pub(crate) fn yields(&self) -> Option<&Expr> {
        match self {
            Self::Set { key, .. } => key.as_ref(),
            Self::Compr { assign, .. } | Self::Func { assign, .. } => {
                assign.as_ref().map(|assign| &assign.value)
            }
        }
    }

    /// The place of the head: the name, the key or the arguments, and the value.
    pub(crate) const fn span(&self) -> Span {
        match self {
            Self::Compr { span, .. } | Self::Set { span, .. } | Self::Func { span, .. } => *span,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) enum Rule {
    Spec { span: Span, head: Head, bodies: Vec<Body> },
    Default { span: Span, refr: Expr, args: Vec<Expr>, value: Expr },
}

impl Rule {
    /// The reference that names the rule.
    pub(crate) const fn refr(&self) -> &Expr {
        match self {
            Self::Spec { head, .. } => head.refr(),
            Self::Default { refr, .. } => refr,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Package {
    span: Span,
    refr: Expr,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Import {
    pub(crate) refr: Expr,
    #[serde(default)]
    pub(crate) r#as: Option<Span>,
}

#[derive(Debug, Deserialize)]
struct Tree {
    package: Package,
    imports: Vec<Import>,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Printed {
    ast: Tree,
}

/// One parsed file.
#[derive(Debug)]
pub struct Module {
    /// The file.
    pub file: SourceFile,
    /// Whether it is written in Rego v0, the language before OPA 1.0.
    pub v0: bool,
    /// The components of the package, without `data`.
    pub package: Vec<String>,
    /// Place of the word `package`.
    pub package_span: Span,
    pub(crate) imports: Vec<Import>,
    pub(crate) rules: Vec<Rule>,
}

impl Module {
    /// The text at `span`.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        self.file.text.get(span.start..span.end).unwrap_or_default()
    }

    /// Where what ends at `end` to regorus is over: to it, a string ends before its closing quote.
    #[must_use]
    pub fn past_quote(&self, end: usize) -> usize {
        let quoted = self.file.text.get(end..).is_some_and(|rest| rest.starts_with(['"', '`']));
        end + usize::from(quoted)
    }
}

/// Parses one file as Rego v1 and, where that fails and nothing in it says v1, as v0.
///
/// # Errors
///
/// What the parser said of the dialect that got further; of v1 when they got equally far.
pub(crate) fn parse(file: &SourceFile) -> Result<Module, Box<Diagnostic>> {
    check_size(file)?;
    let first = match parse_as(file, false) {
        Ok(module) => return Ok(module),
        Err(error) => error,
    };
    if speaks_v1(&file.text) {
        return Err(first);
    }
    match parse_as(file, true) {
        Ok(module) => Ok(module),
        Err(second) if (second.line, second.column) > (first.line, first.column) => Err(second),
        Err(_) => Err(first),
    }
}

/// The parser's own limits.
const MAX_BYTES: usize = 1024 * 1024;
const MAX_LINES: usize = 20_000;
const MAX_COLUMNS: usize = 1024;

/// Refuses what the parser would refuse with a text about itself, and a file without any text.
fn check_size(file: &SourceFile) -> Result<(), Box<Diagnostic>> {
    let refuse = |line: usize, message: String, hint: &str| {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        Err(Box::new(Diagnostic::error(file, (line, line.min(1)), "file-size", message, hint)))
    };
    let (bytes, lines) = (file.text.len(), file.text.lines().count());
    if bytes > MAX_BYTES {
        return refuse(
            0,
            format!("the file has {bytes} bytes, and 1 MiB is the limit"),
            "split it",
        );
    }
    if lines > MAX_LINES {
        return refuse(
            0,
            format!("the file has {lines} lines, and {MAX_LINES} is the limit"),
            "split it",
        );
    }
    let long = (1..).zip(file.text.lines()).find(|(_, line)| line.chars().count() > MAX_COLUMNS);
    if let Some((line, _)) = long {
        return refuse(line, format!("the line is longer than {MAX_COLUMNS} columns"), "break it");
    }
    // The parser would take it for the end and leave out the rules behind it.
    if let Some((line, _)) = (1..).zip(file.text.lines()).find(|(_, line)| line.contains('\0')) {
        let hint = "write the file again: it may have been cut off while it was written";
        return refuse(line, "the line has a NUL character".to_owned(), hint);
    }
    if file.text.trim().is_empty() {
        let hint = "write `package mcp.policy` and a rule, or remove the file";
        return refuse(0, "the file is empty".to_owned(), hint);
    }
    Ok(())
}

/// Whether a text uses the keywords `if` and `contains` of v1 without having imported them, as v0 demands. Read as v0,
/// such a file would mean something else: there, `allow if { … }` is the fact `allow` and a rule named `if`.
fn speaks_v1(text: &str) -> bool {
    if text.contains("import rego.v1") {
        return true;
    }
    if text.contains("import future.keywords") {
        return false;
    }
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let token = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '`' => rest.get(1..).and_then(|raw| raw.find('`')).map_or(rest.len(), |end| end + 2),
            '"' => quoted(rest),
            word if word.is_alphanumeric() || word == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
                if word == "if" || (word == "contains" && !after.starts_with('(')) {
                    return true;
                }
                word.len()
            }
            other => other.len_utf8(),
        };
        rest = rest.get(token..).unwrap_or_default();
    }
    false
}

/// Length of the string that `text` begins with, quotes included.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

fn parse_as(file: &SourceFile, v0: bool) -> Result<Module, Box<Diagnostic>> {
    let mut engine = Engine::new();
    engine.set_rego_v0(v0);
    engine
        .add_policy(file.name.clone(), file.text.to_string())
        .map_err(|error| located(file, &error.to_string(), v0))?;
    let printed =
        engine.get_ast_as_json().map_err(|error| located(file, &error.to_string(), v0))?;
    let [Printed { ast }]: [Printed; 1] = serde_json::from_str(&printed).map_err(|error| {
        let message = format!("the syntax tree cannot be checked ({error})");
        let hint = "split deeply nested expressions into several rules";
        Box::new(Diagnostic::error(file, (1, 1), "too-deep", message, hint))
    })?;
    let mut package = Vec::new();
    constant_path(&ast.package.refr, &mut package);
    Ok(Module {
        file: file.clone(),
        v0,
        package,
        package_span: ast.package.span,
        imports: ast.imports,
        rules: ast.rules,
    })
}

/// Reads place and message from an error text of regorus (`--> file:line:col`, drawing, `error: message`).
fn located(file: &SourceFile, text: &str, v0: bool) -> Box<Diagnostic> {
    let place = text.lines().find_map(|line| line.strip_prefix("--> "));
    let mut parts = place.unwrap_or_default().rsplitn(3, ':');
    let column = parts.next().and_then(|part| part.parse().ok()).unwrap_or(1);
    let line = parts.next().and_then(|part| part.parse().ok()).unwrap_or(1);
    let message =
        text.lines().rev().find_map(|line| line.strip_prefix("error: ")).unwrap_or(text).trim();
    let dialect = if v0 { "v0" } else { "v1" };
    let hint = format!("correct the line (the file was read as Rego {dialect})");
    let place = within(&file.text, (line, column));
    Box::new(Diagnostic::error(file, place, "syntax", message.to_owned(), hint))
}

/// A place at the end of the text, moved to the end of what is written: that is where something is missing.
fn within(text: &str, (line, column): (u32, u32)) -> (u32, u32) {
    match (1..).zip(text.trim_end().lines()).last() {
        Some((last, written)) if line > last => {
            let end = u32::try_from(written.chars().count()).unwrap_or(u32::MAX);
            (last, end.saturating_add(1))
        }
        _ => (line, column),
    }
}

/// Appends the leading constant components of a reference to `path`; true when all of them are constant.
#[expect(clippy::wildcard_enum_match_arm, reason = "only references have a path")]
pub(crate) fn constant_path(expr: &Expr, path: &mut Vec<String>) -> bool {
    match expr {
        Expr::Var { value, .. } => {
            path.push(value.clone());
            true
        }
        Expr::RefDot { refr, field } => {
            let whole = constant_path(refr, path);
            if whole {
                path.push(field.1.clone());
            }
            whole
        }
        Expr::RefBrack { refr, index } => {
            let whole = constant_path(refr, path);
            match (whole, index.as_ref()) {
                (true, Expr::String { value } | Expr::RawString { value }) => {
                    path.push(value.clone());
                    true
                }
                _ => false,
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
