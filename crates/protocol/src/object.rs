//! Raw JSON objects and arrays, read and edited in place: one pass, no tree, and every byte that is not named
//! stays as it was written.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::{
    ParseError,
    ParseErrorKind::InvalidRequest,
    encode,
    scan::{MAX_DEPTH, Scanner},
};

/// One member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key, decoded.
    pub key: Cow<'a, str>,
    /// The value as raw JSON.
    pub value: &'a str,
}

/// The members of `raw` in order.
///
/// # Errors
///
/// `raw` is not an object, or not strict JSON as [`crate::Message::parse`] has it.
pub fn members(raw: &str) -> Result<Vec<Member<'_>>, ParseError> {
    let mut members = Vec::new();
    visit(raw, |member, _, _| members.push(member))?;
    Ok(members)
}

/// The value of the member `key` (decoded) as raw JSON; `None` too when `raw` is not an object.
#[must_use]
pub fn get<'a>(raw: &'a str, key: &str) -> Option<&'a str> {
    let mut found = None;
    let read = visit(raw, |member, _, _| {
        if member.key == key {
            found = Some(member.value);
        }
    });
    read.ok().and(found)
}

/// The elements of the array `raw` in order, as raw JSON.
///
/// # Errors
///
/// `raw` is not an array, or not strict JSON as [`crate::Message::parse`] has it.
pub fn elements(raw: &str) -> Result<Vec<&str>, ParseError> {
    let mut scan = Scanner::new(raw, MAX_DEPTH);
    scan.white();
    if scan.peek() != b'[' {
        return Err(ParseError::of_body(InvalidRequest, Some(scan.at()), "not an array"));
    }
    let mut elements = Vec::new();
    let read = scan.elements(|scan| {
        let value = scan.value()?;
        elements.push(scan.slice(value));
        Ok(())
    });
    let read = read.and_then(|_| scan.end());
    scan.finish(read)?;
    Ok(elements)
}

/// `raw` with members set (where the key stands, else at the end) or removed (`None`). Keys are
/// decoded and named once each, values are raw JSON; what is not an object comes back as it was.
#[must_use]
pub fn edit(raw: &str, edits: &[(&str, Option<&str>)]) -> String {
    let grown = edits.iter().map(|(key, value)| key.len() + value.map_or(0, str::len) + 4);
    let mut out = String::with_capacity(raw.len() + grown.sum::<usize>());
    let mut found: SmallVec<[bool; 8]> = SmallVec::from_elem(false, edits.len());
    let mut empty = true;
    let mut write = |out: &mut String, parts: [&str; 3]| {
        if !std::mem::take(&mut empty) {
            out.push(',');
        }
        out.extend(parts);
    };
    let head = raw.find('{').map_or(0, |at| at + 1);
    out.push_str(raw.get(..head).unwrap_or_default());
    let Ok(end) = visit(raw, |member, before, after| {
        let edit = edits.iter().zip(&mut found).find(|((key, _), _)| *key == member.key);
        let value = match edit {
            Some(((_, value), found)) => {
                *found = true;
                *value
            }
            None => Some(member.value),
        };
        if let Some(value) = value {
            write(&mut out, [before, value, after]);
        }
    }) else {
        return raw.to_owned();
    };
    for ((key, value), _) in edits.iter().zip(found).filter(|(_, found)| !found) {
        if let Some(value) = value {
            let mut name = String::with_capacity(key.len() + 2);
            encode::string(&mut name, key);
            write(&mut out, [&name, ":", value]);
        }
    }
    out.push_str(raw.get(end..).unwrap_or_default());
    out
}

/// Calls `each` with every member of `raw`, the text from the last comma or brace to its value, and
/// the white space behind that. Returns where the text after the last member begins.
fn visit<'a>(
    raw: &'a str,
    mut each: impl FnMut(Member<'a>, &'a str, &'a str),
) -> Result<usize, ParseError> {
    let mut scan = Scanner::new(raw, MAX_DEPTH);
    scan.white();
    if scan.peek() != b'{' {
        return Err(ParseError::of_body(InvalidRequest, Some(scan.at()), "not an object"));
    }
    let mut from = scan.at() + 1;
    let read = scan.members(|scan, _| {
        let key = scan.key_name();
        let value = scan.value()?;
        scan.white();
        let before = raw.get(from..value.start as usize).unwrap_or_default();
        let after = raw.get(value.end as usize..scan.at()).unwrap_or_default();
        from = scan.at() + 1;
        each(Member { key, value: scan.slice(value) }, before, after);
        Ok(())
    });
    let read = read.and_then(|object| {
        // An empty object has no last comma or brace: its white space is part of the tail.
        from = from.min(object.end as usize - 1);
        scan.end()
    });
    scan.finish(read)?;
    Ok(from)
}

#[cfg(test)]
mod tests;
