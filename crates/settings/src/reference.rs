//! `${env:NAME}` and `${file:/path}` in the values of the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

/// Most bytes of a file that holds a secret.
const LIMIT: u64 = 64 * 1024;

/// Text with its references replaced.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) text: String,
    /// Whether there were any: the text then is not to be shown.
    pub(crate) secret: bool,
}

/// Replaces the references in `text`. `$${` stands for `${`; what a reference yields is not looked into again.
///
/// # Errors
///
/// What is wrong with a reference and what to do about it.
pub(crate) fn resolve(text: &str, env: &BTreeMap<String, String>) -> Result<Resolved, String> {
    let (mut out, mut rest, mut secret) = (String::new(), text, false);
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix("${") {
            out.push_str("${");
            rest = after;
        } else if let Some(target) =
            ["{env:", "{file:"].iter().find_map(|it| after.strip_prefix(it))
        {
            let Some((name, after_name)) = target.split_once('}') else {
                return Err(format!("`${after}` has no end; close it with `}}`"));
            };
            let value = if after.starts_with("{env:") { variable(name, env) } else { file(name) };
            out.push_str(&value?);
            secret = true;
            rest = after_name;
        } else if let Some(inside) = after.strip_prefix('{') {
            return Err(unknown(inside));
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(Resolved { text: out, secret })
}

/// A reference of a shell or of another program, which nobody would replace.
fn unknown(inside: &str) -> String {
    const MOST: usize = 40;
    let name = inside.split_inclusive('}').next().unwrap_or_default();
    let shown: String = name.chars().take(MOST).collect();
    format!(
        "`${{{shown}` is no reference; write `${{env:NAME}}` or `${{file:/path}}`, or `$${{` for the text `${{`"
    )
}

fn variable(name: &str, env: &BTreeMap<String, String>) -> Result<String, String> {
    let missing =
        || format!("environment variable `{name}` is not set; set it or remove `${{env:{name}}}`");
    env.get(name).cloned().ok_or_else(missing)
}

/// The file without its last line end.
fn file(path: &str) -> Result<String, String> {
    let unreadable = |why: &dyn std::fmt::Display| {
        format!("cannot read `{path}`: {why}; check `${{file:{path}}}`")
    };
    let mut text = String::new();
    let opened = File::open(path).map_err(|error| unreadable(&error))?;
    opened.take(LIMIT + 1).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    if text.len() as u64 > LIMIT {
        return Err(unreadable(&format_args!("it is larger than {LIMIT} bytes")));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests;
