//! The text of JSON strings: decoding, folding of keys, clipping for messages.

use std::{borrow::Cow, str::Chars};

/// Characters of user input that an error message repeats at most.
const SHOWN: usize = 64;

/// What a scanned token says: a string without quotes and escapes, anything else as it is written.
pub(crate) fn decode(token: &str) -> Cow<'_, str> {
    match token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => unescape(inner),
        None => Cow::Borrowed(token),
    }
}

/// The meaning of the inside of a scanned string; borrowed unless it holds an escape.
pub(crate) fn unescape(inner: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        Cow::Borrowed(inner)
    } else {
        Cow::Owned(Unescaped(inner.chars()).collect())
    }
}

/// Characters of a string that the scanner has accepted. On other input a broken escape is U+FFFD.
struct Unescaped<'a>(Chars<'a>);

impl Unescaped<'_> {
    fn unit(&mut self) -> u32 {
        (0..4).fold(0, |unit, _| {
            let digit = self.0.next().and_then(|character| character.to_digit(16));
            (unit << 4) | digit.unwrap_or(0)
        })
    }

    fn code_point(&mut self) -> u32 {
        let high = self.unit();
        if !(0xd800..0xdc00).contains(&high) {
            return high;
        }
        // The scanner let a high surrogate pass only with `\u` and its low one behind it.
        self.0.next();
        self.0.next();
        let low = self.unit();
        0x1_0000 + ((high & 0x3ff) << 10) + (low & 0x3ff)
    }
}

impl Iterator for Unescaped<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let character = self.0.next()?;
        if character != '\\' {
            return Some(character);
        }
        Some(match self.0.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => char::from_u32(self.code_point()).unwrap_or(char::REPLACEMENT_CHARACTER),
            other => other,
        })
    }
}

/// The member of `known` that `key` would be mistaken for by a reader that folds case, but is not.
pub(crate) fn case_variant(key: &str, known: &[&'static str]) -> Option<&'static str> {
    known.iter().copied().find(|known| folds_to(key, known)).filter(|known| *known != key)
}

fn folds_to(key: &str, known: &str) -> bool {
    key.len() >= known.len() && key.chars().map(fold).eq(known.chars().map(fold))
}

/// Simple case folding as far as it can reach an ASCII letter: Go's `encoding/json` folds U+017F
/// and U+212A too.
const fn fold(character: char) -> char {
    match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => character.to_ascii_lowercase(),
    }
}

/// User input for an error message: one line, no characters that change how the line reads, bounded
/// length.
pub(crate) fn clip(input: &str) -> String {
    let mut shown = String::new();
    for character in input.chars().take(SHOWN) {
        if character.is_ascii_graphic() || character.is_alphanumeric() || character == ' ' {
            shown.push(character);
        } else {
            shown.extend(character.escape_unicode());
        }
    }
    if input.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
