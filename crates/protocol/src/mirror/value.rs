//! Values of headers that repeat the body: plain where that is safe, else Base64 between markers.

use std::borrow::Cow;

use data_encoding::BASE64;

use crate::ValueError;

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";
/// Longest value that is decoded, in bytes.
const MAX_VALUE: usize = 8 * 1024;

/// `text` as the value of a header: as it is when that is visible ASCII with spaces only inside and
/// cannot be mistaken for an encoded value, else in Base64 between the markers.
#[must_use]
pub fn encode(text: &str) -> Cow<'_, str> {
    let padded = text.starts_with(' ') || text.ends_with(' ');
    let marked = text.starts_with(PREFIX) && text.ends_with(SUFFIX);
    if !padded && !marked && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    Cow::Owned([PREFIX, &BASE64.encode(text.as_bytes()), SUFFIX].concat())
}

/// What the value of a header says. Without both markers, written exactly so, it says what it is.
///
/// # Errors
///
/// It is longer than 8 KiB (nothing is decoded then), has a character that no header can carry, or
/// has both markers and no Base64 of UTF-8 text between them.
pub fn decode(value: &str) -> Result<Cow<'_, str>, ValueError> {
    if value.len() > MAX_VALUE {
        return Err(ValueError::TooLarge { limit: MAX_VALUE });
    }
    if !value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return Err(ValueError::Character);
    }
    let marked = value.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    let Some(encoded) = marked else { return Ok(Cow::Borrowed(value)) };
    let decoded = BASE64.decode(encoded.as_bytes()).map_err(|_| ValueError::Base64)?;
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| ValueError::Utf8)
}

#[cfg(test)]
mod tests;
