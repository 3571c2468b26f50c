//! Edits of raw JSON at a path: what the obligations `redact` and `strip` do.
//!
//! A path is a JSON pointer (RFC 6901) in which the token `*` stands for every member or element. Only the objects and
//! arrays on the way are written anew; every other value keeps its bytes.

use std::borrow::Cow;

use protocol::{encode, object};

/// The path names no part of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadPath;

/// `raw` with what is at `path` replaced by the raw JSON `with`, or removed. `None` when nothing is there.
///
/// # Errors
///
/// The path does not begin with `/`: it names the whole value, or nothing.
pub(crate) fn edit(raw: &str, path: &str, with: Option<&str>) -> Result<Option<String>, BadPath> {
    let tokens = path.strip_prefix('/').ok_or(BadPath)?;
    let tokens: Vec<Cow<'_, str>> = tokens.split('/').map(unescaped).collect();
    Ok(edit_at(raw, &tokens, with))
}

/// A token as it names a member (RFC 6901, section 4).
fn unescaped(token: &str) -> Cow<'_, str> {
    if token.contains('~') {
        token.replace("~1", "/").replace("~0", "~").into()
    } else {
        token.into()
    }
}

fn edit_at(raw: &str, tokens: &[Cow<'_, str>], with: Option<&str>) -> Option<String> {
    let (token, rest) = tokens.split_first()?;
    let mut found = false;
    // What stands there afterwards; nothing when it goes.
    let mut edited = |named: bool, value: &str| -> Option<String> {
        if !named {
            return Some(value.to_owned());
        }
        if rest.is_empty() {
            found = true;
            return with.map(str::to_owned);
        }
        let inner = edit_at(value, rest, with);
        found |= inner.is_some();
        Some(inner.unwrap_or_else(|| value.to_owned()))
    };
    let mut out = String::with_capacity(raw.len());
    if let Ok(members) = object::members(raw) {
        for member in members {
            let Some(value) = edited(token == "*" || *token == member.key, member.value) else {
                continue;
            };
            out.push(if out.is_empty() { '{' } else { ',' });
            encode::string(&mut out, &member.key);
            out.push(':');
            out.push_str(&value);
        }
        out.push_str(if out.is_empty() { "{}" } else { "}" });
    } else {
        for (index, value) in object::elements(raw).ok()?.into_iter().enumerate() {
            let Some(value) = edited(token == "*" || *token == index.to_string(), value) else {
                continue;
            };
            out.push(if out.is_empty() { '[' } else { ',' });
            out.push_str(&value);
        }
        out.push_str(if out.is_empty() { "[]" } else { "]" });
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests;
