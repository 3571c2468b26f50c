//! Keeps secrets out of what is stored: values under secret-looking names, in JSON and in URIs, become `***`.
//!
//! Everything else keeps its bytes: order, white space and the spelling of numbers. This is about names, not about
//! content: a secret in a value whose name says nothing is not found here.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::Value;

/// What a masked value becomes.
const MASK: &str = "***";

/// Names are compared in lower case, without separators and digits at the end. A name that ends with one of these is
/// secret: `client_secret`, `X-Api-Key`, `dbPassword2`; but not `max_tokens`, `token_count`.
const SECRET: &[&str] = &[
    "accesskey",
    "apikey",
    "apikeys",
    "auth",
    "authorization",
    "bearer",
    "connectionstring",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "encryptionkey",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "privatekey",
    "privatekeypem",
    "pwd",
    "secret",
    "secretkey",
    "secrets",
    "session",
    "sessionid",
    "sessionkey",
    "signingkey",
    "token",
];

/// Whether a value of this name is to be hidden.
fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(|c| !matches!(c, '-' | '_' | '.' | ' ' | '[' | ']'))
        .flat_map(char::to_lowercase)
        .collect();
    let plain = plain.trim_end_matches(|c: char| c.is_ascii_digit());
    SECRET.iter().any(|secret| plain.ends_with(secret))
}

/// Masks a JSON text; `None` when it is not JSON.
#[must_use]
pub fn json(text: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    // In valid JSON a string before a colon is a key, and every key is one.
    while let Some(start) = find(text, at, |byte| byte == b'"') {
        let end = string_end(text, start);
        let colon = find(text, end, |byte| !is_space(byte)).unwrap_or(text.len());
        at = end;
        if byte(text, colon) == Some(b':') && is_secret_key(slice(text, start, end)) {
            let value = find(text, colon + 1, |byte| !is_space(byte)).unwrap_or(text.len());
            out.push_str(slice(text, copied, value));
            out.extend(["\"", MASK, "\""]);
            at = value_end(text, value);
            copied = at;
        }
    }
    if copied == 0 {
        return Some(Cow::Borrowed(text));
    }
    out.push_str(slice(text, copied, text.len()));
    Some(Cow::Owned(out))
}

/// Where [`json`] puts masks: JSON pointers (RFC 6901) into the text; nothing of a text that is not JSON.
#[must_use]
pub fn places(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_str(text) {
        walk(&value, &mut String::new(), &mut found);
    }
    found
}

fn walk(value: &Value, pointer: &mut String, found: &mut Vec<String>) {
    let length = pointer.len();
    let mut step = |name: &str, value: &Value| {
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        if is_secret(name) {
            found.push(pointer.clone());
        } else {
            walk(value, pointer, found);
        }
        pointer.truncate(length);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| step(name, value)),
        Value::Array(items) => {
            (0..).zip(items).for_each(|(at, item): (usize, _)| step(&at.to_string(), item))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_secret_key(quoted: &str) -> bool {
    if quoted.contains('\\') {
        serde_json::from_str::<String>(quoted).is_ok_and(|name| is_secret(&name))
    } else {
        is_secret(quoted.trim_matches('"'))
    }
}

fn byte(text: &str, at: usize) -> Option<u8> {
    text.as_bytes().get(at).copied()
}

fn slice(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to).unwrap_or_default()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The first position from `from` on whose byte is wanted.
fn find(text: &str, from: usize, wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let rest = text.as_bytes().get(from..)?;
    rest.iter().position(|&byte| wanted(byte)).map(|offset| from + offset)
}

/// The position after the string whose opening quote is at `start`.
fn string_end(text: &str, start: usize) -> usize {
    let mut at = start + 1;
    while let Some(stop) = find(text, at, |byte| matches!(byte, b'"' | b'\\')) {
        if byte(text, stop) == Some(b'"') {
            return stop + 1;
        }
        at = stop + 2;
    }
    text.len()
}

/// The position after the value that begins at `start`.
fn value_end(text: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        let stop = find(text, at, |byte| {
            matches!(byte, b'"' | b'{' | b'[' | b'}' | b']' | b',') || is_space(byte)
        });
        let Some(stop) = stop else { return text.len() };
        match byte(text, stop) {
            Some(b'"') => {
                at = string_end(text, stop);
                if depth == 0 {
                    return at;
                }
            }
            Some(b'{' | b'[') => (depth, at) = (depth + 1, stop + 1),
            // The end of the container that holds a number or a word.
            Some(b'}' | b']') if depth == 0 => return stop,
            Some(b'}' | b']') if depth == 1 => return stop + 1,
            Some(b'}' | b']') => (depth, at) = (depth - 1, stop + 1),
            _ if depth == 0 => return stop,
            _ => at = stop + 1,
        }
    }
}

/// Masks the user and password of a URI, and the values of secret-looking parameters in its query and fragment.
#[must_use]
pub fn uri(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let rest = match user_info(text) {
        Some((before, after)) => {
            out.extend([before, MASK]);
            after
        }
        None => text,
    };
    let cut = rest.find(['?', '#']).unwrap_or(rest.len());
    out.push_str(slice(rest, 0, cut));
    for part in slice(rest, cut, rest.len()).split_inclusive(['?', '&', ';', '#']) {
        let pair = part.trim_end_matches(['?', '&', ';', '#']);
        match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret(&percent_decoded(name)) => {
                out.extend([name, "=", MASK, slice(part, pair.len(), part.len())]);
            }
            _ => out.push_str(part),
        }
    }
    out
}

/// What is before and after the user information of a URI that has some. A password may hold `?` and `#` that should
/// have been encoded, so only a slash ends the search.
fn user_info(text: &str) -> Option<(&str, &str)> {
    let start = text.find("://")? + 3;
    let end = find(text, start, |byte| byte == b'/').unwrap_or(text.len());
    let at = start + slice(text, start, end).rfind('@')?;
    Some((slice(text, 0, start), slice(text, at, text.len())))
}

fn percent_decoded(name: &str) -> Cow<'_, str> {
    if !name.contains('%') {
        return Cow::Borrowed(name);
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let decoded = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(decoded.unwrap_or(b'%'));
        rest = if decoded.is_some() { slice(after, 2, after.len()) } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
