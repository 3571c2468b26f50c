//! Findings in the formats that people, continuous integration and editors read.
//!
//! A command turns what it found into [`Finding`]s; the format is the reader's business: `pretty` for people, `json` for
//! programs, `junit` for test reports, `github` for annotations of a pull request, `sarif` (2.1.0) for code scanning.

mod sarif;

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use crate::output::{self, visible};

/// How findings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Pretty,
    /// For programs
    Json,
    /// JUnit XML, for test reports
    Junit,
    /// Annotations of GitHub workflows
    Github,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// Nothing is wrong: a test that passed.
    Passed,
    /// Left out on purpose.
    Skipped,
    Warning,
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that a command found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    /// What kind of finding it is: stable, for programs.
    pub(crate) code: String,
    /// What it is about, such as the name of a test; empty when file and line say it.
    pub(crate) subject: String,
    pub(crate) file: String,
    /// From 1; 0 when it is about the whole file.
    pub(crate) line: u32,
    /// From 1; 0 when it is about the whole line.
    pub(crate) column: u32,
    pub(crate) message: String,
    /// Seconds that it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<f64>,
}

/// Writes findings in every format but `pretty` and `json`, which each command shapes itself.
///
/// # Errors
///
/// As [`output::data`].
pub(crate) fn write(tool: &str, findings: &[Finding], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Pretty => output::data(&pretty(findings)),
        Format::Json => output::line(&output::json(&json!({ "findings": findings }))?),
        Format::Junit => output::data(&junit(tool, findings)),
        Format::Github => output::data(&github(findings)),
        Format::Sarif => output::line(&output::json(&sarif::log(findings))?),
    }
}

fn pretty(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let Finding { level, code, file, line, column, message, .. } = finding;
        let place = if *line == 0 { String::new() } else { format!(":{line}:{column}") };
        // Writing into a string cannot fail.
        writeln!(
            text,
            "{}{place}: {}[{code}]: {}",
            visible(file),
            level.as_str(),
            visible(message)
        )
        .ok();
    }
    text
}

fn junit(tool: &str, findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|it| it.level == level).count();
    let failures = count(Level::Error) + count(Level::Warning);
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{}\" tests=\"{}\" \
         failures=\"{failures}\" skipped=\"{}\">\n",
        xml(tool),
        findings.len(),
        count(Level::Skipped),
    );
    for it in findings {
        let name = if it.subject.is_empty() { &it.code } else { &it.subject };
        let seconds = it.seconds.unwrap_or_default();
        let case = format!(
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.6}\"",
            xml(&it.file),
            xml(name)
        );
        let body = match it.level {
            Level::Passed => "/>\n".to_owned(),
            Level::Skipped => "><skipped/></testcase>\n".to_owned(),
            Level::Warning | Level::Error => format!(
                "><failure type=\"{}\" message=\"{}\">{}:{}</failure></testcase>\n",
                xml(&it.code),
                xml(&it.message),
                xml(&it.file),
                it.line
            ),
        };
        text.push_str(&case);
        text.push_str(&body);
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// Text for XML 1.0, which has no control characters but tab and line breaks.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push_str(if c == '\n' { "&#10;" } else { "&#9;" }),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Workflow commands; `%`, line breaks and, in properties, `:` and `,` are escaped as GitHub reads them.
fn github(findings: &[Finding]) -> String {
    let escaped = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| escaped(text).replace(':', "%3A").replace(',', "%2C");
    let mut text = String::new();
    for it in findings {
        let command = match it.level {
            Level::Passed | Level::Skipped => continue,
            Level::Warning => "warning",
            Level::Error => "error",
        };
        let place = match (it.line, it.column) {
            (0, _) => String::new(),
            (line, 0) => format!(",line={line}"),
            (line, column) => format!(",line={line},col={column}"),
        };
        let (file, code, message) = (property(&it.file), property(&it.code), escaped(&it.message));
        writeln!(text, "::{command} file={file}{place},title={code}::{message}").ok();
    }
    text
}

#[cfg(test)]
mod tests;
