//! The entries of a list result, as slices of it, and the result without some of them.

use std::borrow::Cow;

use crate::{
    ListKind, ParseError,
    ParseErrorKind::InvalidRequest,
    scan::{MAX_DEPTH, Scanner, Span, Stop},
    text,
};

/// One entry of a list result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry<'a> {
    /// The entry, an object as raw JSON.
    pub raw: &'a str,
    /// What [`ListKind::entry_key`] names, decoded.
    pub key: Cow<'a, str>,
    /// `description`, decoded, if it is a string.
    pub description: Option<Cow<'a, str>>,
    /// `annotations` as raw JSON.
    pub annotations: Option<&'a str>,
}

/// A list result without the entries that are not to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The result as raw JSON.
    pub result: String,
    /// The keys of the entries that are gone, in order.
    pub removed: Vec<String>,
}

/// The entries of `result` (raw JSON) in order; none when it has no such member.
///
/// # Errors
///
/// When `result` is not strict JSON as [`crate::Message::parse`] has it, its member is not an array
/// of objects that each have a string for a key, or a key is there in another case too, which some
/// clients would read instead.
pub fn list_entries(result: &str, kind: ListKind) -> Result<Vec<ListEntry<'_>>, ParseError> {
    Ok(scan_list(result, kind)?.slots.into_iter().map(|slot| slot.entry).collect())
}

/// `result` (raw JSON) without the entries for which `keep` is false. Every other byte stays:
/// `nextCursor`, `_meta`, unknown members, and the white space around kept entries.
///
/// # Errors
///
/// As [`list_entries`]; nothing can then be shown.
pub fn retain_entries(
    result: &str,
    kind: ListKind,
    mut keep: impl FnMut(&ListEntry<'_>) -> bool,
) -> Result<Retained, ParseError> {
    let list = scan_list(result, kind)?;
    let mut kept = Vec::with_capacity(list.slots.len());
    let mut removed = Vec::new();
    for slot in list.slots {
        if keep(&slot.entry) {
            kept.push(slot.around);
        } else {
            removed.push(slot.entry.key.into_owned());
        }
    }
    if removed.is_empty() {
        return Ok(Retained { result: result.to_owned(), removed });
    }
    // Inside the brackets: what stands between two commas goes or stays as one piece.
    let head = result.get(..=list.array.start as usize).unwrap_or_default();
    let tail = result.get(list.array.end as usize - 1..).unwrap_or_default();
    let result = [head, &kept.join(","), tail].concat();
    Ok(Retained { result, removed })
}

struct Slot<'a> {
    entry: ListEntry<'a>,
    /// The entry with the white space around it.
    around: &'a str,
}

#[derive(Default)]
struct List<'a> {
    array: Span,
    slots: Vec<Slot<'a>>,
}

fn scan_list(result: &str, kind: ListKind) -> Result<List<'_>, ParseError> {
    let mut scan = Scanner::new(result, MAX_DEPTH);
    let mut list = List::default();
    let read = list.read(&mut scan, result, kind);
    scan.finish(read)?;
    Ok(list)
}

impl<'a> List<'a> {
    fn read(&mut self, scan: &mut Scanner<'a>, text: &'a str, kind: ListKind) -> Result<(), Stop> {
        let member = kind.member();
        scan.white();
        if scan.peek() != b'{' {
            scan.note(InvalidRequest, scan.at(), "`result` of a list is not an object");
            scan.value()?;
            return scan.end();
        }
        scan.members(|scan, key| {
            if key != member {
                scan.refuse_variant(key, &[member]);
                return scan.value().map(|_| ());
            }
            if scan.peek() != b'[' {
                scan.note(InvalidRequest, scan.at(), format!("`{member}` is not an array"));
                return scan.value().map(|_| ());
            }
            let mut from = scan.at() + 1;
            self.array = scan.elements(|scan| {
                let entry = entry(scan, kind)?;
                scan.white();
                let around = text.get(from..scan.at()).unwrap_or_default();
                from = scan.at() + 1;
                self.slots.push(Slot { entry, around });
                Ok(())
            })?;
            Ok(())
        })?;
        scan.end()
    }
}

fn entry<'a>(scan: &mut Scanner<'a>, kind: ListKind) -> Result<ListEntry<'a>, Stop> {
    let at = scan.at();
    let known = [kind.entry_key(), "description", "annotations"];
    let mut places = [Span::default(); 3];
    let raw = if scan.peek() == b'{' {
        scan.members(|scan, name| {
            let place = known.iter().position(|known| *known == name);
            if place.is_none() {
                scan.refuse_variant(name, &known);
            }
            let value = scan.value()?;
            if let Some(place) = place.and_then(|place| places.get_mut(place)) {
                *place = value;
            }
            Ok(())
        })?
    } else {
        scan.value()?
    };
    let [key, description, annotations] = places.map(|place| scan.slice(place));
    if !key.starts_with('"') {
        let what = format!("entry of `{}` without a string `{}`", kind.member(), kind.entry_key());
        scan.note(InvalidRequest, at, what);
    }
    Ok(ListEntry {
        raw: scan.slice(raw),
        key: text::decode(key),
        description: description.starts_with('"').then(|| text::decode(description)),
        annotations: (!annotations.is_empty()).then_some(annotations),
    })
}

#[cfg(test)]
mod tests;
