//! JSON in the one form that hashes are taken over: keys in order, no space, numbers as they are written.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Writes JSON in its canonical form; `None` for what is none.
pub(crate) fn canonical(text: &str) -> Option<String> {
    // Refuses what nests deeper than its parser goes, so that the walk below is bounded.
    serde_json::from_str::<serde_json::Value>(text).ok()?;
    let mut out = String::with_capacity(text.len());
    write(text.trim(), &mut out).ok()?;
    Some(out)
}

fn write(text: &str, out: &mut String) -> Result<(), serde_json::Error> {
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            for (index, (key, value)) in members.iter().enumerate() {
                out.push(if index == 0 { '{' } else { ',' });
                string(key, out)?;
                out.push(':');
                write(value.get(), out)?;
            }
            out.push_str(if members.is_empty() { "{}" } else { "}" });
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            for (index, item) in items.iter().enumerate() {
                out.push(if index == 0 { '[' } else { ',' });
                write(item.get(), out)?;
            }
            out.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        Some(b'"') => string(&serde_json::from_str::<String>(text)?, out)?,
        _ => out.push_str(text),
    }
    Ok(())
}

/// A string as OPA's encoder writes it, which escapes two separators that JSON does not ask for.
fn string(text: &str, out: &mut String) -> Result<(), serde_json::Error> {
    let written = serde_json::to_string(text)?;
    out.push_str(&written.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029"));
    Ok(())
}

#[cfg(test)]
mod tests;
