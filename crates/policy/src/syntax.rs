//! Rego text to a typed syntax tree.
//!
//! The tree of regorus is private; it is read from the JSON form that its feature `ast` prints. What this module does
//! not know, it refuses: a construct that the checks cannot see must not be loaded.

use regorus::Engine;
use serde::Deserialize;

use crate::Error;
use crate::source::SourceFile;

/// A place in a source: line and column from 1, byte offsets.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Span {
    pub(crate) line: u32,
    pub(crate) col: u32,
    pub(crate) start: usize,
    pub(crate) end: usize,
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
    Compr { refr: Expr, assign: Option<Assign> },
    Set { refr: Expr, key: Option<Expr> },
    Func { refr: Expr, args: Vec<Expr>, assign: Option<Assign> },
}

impl Head {
    /// The reference that names the rule.
    pub(crate) const fn refr(&self) -> &Expr {
        match self {
            Self::Compr { refr, .. } | Self::Set { refr, .. } | Self::Func { refr, .. } => refr,
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
pub(crate) struct Module {
    pub(crate) file: SourceFile,
    /// Whether it is written in Rego v0, the language before OPA 1.0.
    pub(crate) v0: bool,
    /// The components of the package, without `data`.
    pub(crate) package: Vec<String>,
    pub(crate) imports: Vec<Import>,
    pub(crate) rules: Vec<Rule>,
}

impl Module {
    /// The text at `span`.
    pub(crate) fn text(&self, span: Span) -> &str {
        self.file.text.get(span.start..span.end).unwrap_or_default()
    }
}

/// Parses one file as Rego v1 and, where that fails and nothing in it says v1, as v0.
///
/// # Errors
///
/// [`Error::Syntax`] of the dialect that got further; v1 when they got equally far.
pub(crate) fn parse(file: &SourceFile) -> Result<Module, Error> {
    let first = match parse_as(file, false) {
        Ok(module) => return Ok(module),
        Err(error) => error,
    };
    if speaks_v1(&file.text) {
        return Err(first);
    }
    match parse_as(file, true) {
        Ok(module) => {
            tracing::warn!(
                file = %file.name,
                "policy file is written in Rego v0; it works, but `opa fmt --rego-v1` would bring it up to date"
            );
            Ok(module)
        }
        Err(second) if reach(&second) > reach(&first) => Err(second),
        Err(_) => Err(first),
    }
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

fn reach(error: &Error) -> (u32, u32) {
    if let Error::Syntax { line, column, .. } = error { (*line, *column) } else { (0, 0) }
}

fn parse_as(file: &SourceFile, v0: bool) -> Result<Module, Error> {
    let mut engine = Engine::new();
    engine.set_rego_v0(v0);
    engine
        .add_policy(file.name.clone(), file.text.to_string())
        .map_err(|error| before_end(located(&file.name, &error.to_string(), v0), &file.text))?;
    let printed =
        engine.get_ast_as_json().map_err(|error| located(&file.name, &error.to_string(), v0))?;
    let [Printed { ast }]: [Printed; 1] = serde_json::from_str(&printed).map_err(|error| {
        let message = format!("the syntax tree cannot be checked ({error})");
        syntax(
            &file.name,
            (1, 1),
            message,
            "split deeply nested expressions into several rules".to_owned(),
        )
    })?;
    let mut package = Vec::new();
    constant_path(&ast.package.refr, &mut package);
    Ok(Module { file: file.clone(), v0, package, imports: ast.imports, rules: ast.rules })
}

/// Reads place and message from an error text of regorus (`--> file:line:col`, excerpt, `error: message`).
pub(crate) fn located(file: &str, text: &str, v0: bool) -> Error {
    let place = text.lines().find_map(|line| line.strip_prefix("--> "));
    let mut parts = place.unwrap_or_default().rsplitn(3, ':');
    let column = parts.next().and_then(|part| part.parse().ok()).unwrap_or(1);
    let line = parts.next().and_then(|part| part.parse().ok()).unwrap_or(1);
    let message =
        text.lines().rev().find_map(|line| line.strip_prefix("error: ")).unwrap_or(text).trim();
    let excerpt: String = text
        .lines()
        .skip_while(|line| !line.starts_with("--> "))
        .skip(1)
        .take_while(|line| !line.starts_with("error: "))
        .map(|line| format!("\n{line}"))
        .collect();
    let hint = if v0 {
        "correct the line (the file was read as Rego v0)"
    } else {
        "correct the line (the file was read as Rego v1)"
    };
    Error::Syntax {
        file: file.to_owned(),
        line,
        column,
        message: message.to_owned(),
        excerpt,
        hint: hint.to_owned(),
    }
}

/// An error at the end of the text, moved to the end of what is written: that is where something is missing.
fn before_end(mut error: Error, text: &str) -> Error {
    if let Error::Syntax { line, column, excerpt, .. } = &mut error
        && let Some((last, written)) = (1..).zip(text.trim_end().lines()).last()
        && *line > last
    {
        (*line, *column) =
            (last, u32::try_from(written.len()).unwrap_or(u32::MAX).saturating_add(1));
        *excerpt = format!("\n{last} | {written}");
    }
    error
}

fn syntax(file: &str, (line, column): (u32, u32), message: String, hint: String) -> Error {
    Error::Syntax { file: file.to_owned(), line, column, message, excerpt: String::new(), hint }
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
