//! One thing to say about a policy file, with its place, and all that a check has to say.

use std::fmt;

use serde::Serialize;

use crate::Error;
use crate::source::SourceFile;
use crate::syntax::{Module, Span};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The set works, but hardly as it was meant.
    Warning,
    /// The set is refused.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One finding: what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The kind of finding, in kebab-case: stable, for programs.
    pub code: &'static str,
    /// The file; where the policies came from when the finding is about all of them.
    pub file: String,
    /// Line, from 1; 0 when the finding is about the whole file.
    pub line: u32,
    /// Column, from 1; 0 when the finding is about the whole file.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// The line with a caret under the place; empty when the finding is about the whole file.
    pub excerpt: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}; {}", self.message, self.hint)?;
        if !self.excerpt.is_empty() {
            write!(f, "\n{}", self.excerpt)?;
        }
        Ok(())
    }
}

impl Diagnostic {
    /// An error in `file` at line and column.
    pub(crate) fn error(
        file: &SourceFile,
        (line, column): (u32, u32),
        code: &'static str,
        message: String,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            code,
            file: file.name.clone(),
            line,
            column,
            message,
            hint: hint.into(),
            excerpt: excerpt(&file.text, line, column),
        }
    }

    /// An error about everything that came from `origin`.
    pub(crate) fn of_all(origin: &str, code: &'static str, message: String, hint: String) -> Self {
        let file = SourceFile { name: origin.to_owned(), text: "".into() };
        Self::error(&file, (0, 0), code, message, hint)
    }

    /// The same finding as a warning.
    #[must_use]
    pub(crate) fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }
}

impl Module {
    /// An error at a place of this file.
    pub(crate) fn error(
        &self,
        span: Span,
        code: &'static str,
        message: String,
        hint: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(&self.file, (span.line, span.col), code, message, hint)
    }
}

/// All that a check found, in the order of files and lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings.
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// A report on `diagnostics`, in order.
    #[must_use]
    pub fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        diagnostics.dedup();
        Self { diagnostics }
    }

    /// The findings that refuse the set.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|it| it.severity == Severity::Error)
    }

    /// The findings that do not.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|it| it.severity == Severity::Warning)
    }

    /// Logs the warnings.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with all errors, when there are any.
    pub fn accept(self) -> Result<(), Error> {
        let (refused, warnings): (Vec<_>, Vec<_>) =
            self.diagnostics.into_iter().partition(|it| it.severity == Severity::Error);
        for it in warnings {
            tracing::warn!(file = %it.file, line = it.line, code = it.code, "{}; {}", it.message, it.hint);
        }
        if refused.is_empty() { Ok(()) } else { Err(Error::Refused(refused)) }
    }
}

/// How much of a line is shown on either side of the place.
const AROUND: usize = 80;

/// The line with a caret under the column; no more of a long line than its surroundings.
fn excerpt(text: &str, line: u32, column: u32) -> String {
    let index = usize::try_from(line).unwrap_or(usize::MAX);
    let Some(written) = index.checked_sub(1).and_then(|index| text.lines().nth(index)) else {
        return String::new();
    };
    let place = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
    let place = place.min(written.chars().count());
    let skipped = place.saturating_sub(AROUND);
    let shown: String = written
        .chars()
        .skip(skipped)
        .take(2 * AROUND)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let margin = " ".repeat(line.to_string().len());
    let indent = " ".repeat(place.min(AROUND));
    format!("{margin} |\n{line} | {}\n{margin} | {indent}^", shown.trim_end())
}

#[cfg(test)]
mod tests;
