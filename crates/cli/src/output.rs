//! The only place that prints: data to standard output, talk to standard error.
//!
//! Text that an agent, a server or a log supplied must not reach the terminal as it is: an escape sequence in a tool's
//! name could hide a row or rewrite the screen. [`visible`] spells such characters out, [`json`] and [`json_line`] do
//! it in the way of JSON, and talk is treated as a whole.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};

use anyhow::Context as _;
use serde::Serialize;

/// Prints data. A closed pipe is the reader's way of saying that it has enough, and no error.
///
/// # Errors
///
/// Standard output takes nothing, as on a full disk.
pub(crate) fn data(text: &str) -> anyhow::Result<()> {
    stream(text).map(|_| ())
}

/// Prints a line of data.
///
/// # Errors
///
/// As [`data`].
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    data(&format!("{text}\n"))
}

/// Prints data of which there is no end. Whether anybody still reads it.
///
/// # Errors
///
/// As [`data`].
pub(crate) fn stream(text: &str) -> anyhow::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

/// Prints a line of talk. Line breaks stay, as messages may have several lines.
pub(crate) fn note(text: &str) {
    // With standard error gone there is nobody left to tell.
    writeln!(io::stderr().lock(), "{}", spelled_out(text, |c| !matches!(c, '\n' | '\t'))).ok();
}

/// Prints an error with its causes, the way every command does.
pub(crate) fn error(error: &anyhow::Error) {
    note(&format!("error: {error:#}"));
}

/// The text with everything spelled out that a terminal would obey or hide, so that it fits into one line.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    spelled_out(text, |_| true)
}

fn spelled_out(text: &str, unwanted: fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(|c| is_hidden(c) && unwanted(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if !is_hidden(c) || !unwanted(c) {
            shown.push(c);
        } else if matches!(c, '\n' | '\r' | '\t') {
            shown.extend(c.escape_default());
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    Cow::Owned(shown)
}

/// Control characters, and those that reorder or hide text: directional marks, zero-width characters and tags.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A value as indented JSON.
///
/// # Errors
///
/// The value has no JSON form.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(escaped(&serde_json::to_string_pretty(value)?, '\n'))
}

/// A value as JSON in one line.
///
/// # Errors
///
/// The value has no JSON form.
pub(crate) fn json_line(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(escaped(&serde_json::to_string(value)?, ' '))
}

/// JSON with hidden characters escaped. Line breaks and tabs can only stand between values there (raw JSON from a log
/// keeps them): they become `space`.
fn escaped(json: &str, space: char) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' => shown.push(space),
            '\r' | '\t' => shown.push(' '),
            c if is_hidden(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing into a string cannot fail.
                    write!(shown, "\\u{unit:04x}").ok();
                }
            }
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests;
