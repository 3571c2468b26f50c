//! Owned request ids, kept as they were written.

use std::{
    borrow::Cow,
    fmt,
    hash::{Hash, Hasher},
};

use crate::text;

/// The id of a request: the JSON token as written, compared by what it means.
///
/// A number never equals a string, and `"a"` equals `"\u0061"`. Integers have one spelling only
/// (the parse refuses `-0`, fractions and exponents), so digits are never converted and
/// 9007199254740993 stays what it is.
#[derive(Clone)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// Takes a token that the scanner has validated as a string or an integer.
    pub(crate) fn from_token(raw: &str) -> Self {
        Self(raw.into())
    }

    /// The JSON token: digits, or a string with its quotes and escapes.
    #[must_use]
    pub fn as_raw(&self) -> &str {
        &self.0
    }

    fn meaning(&self) -> (bool, Cow<'_, str>) {
        (self.0.starts_with('"'), text::decode(&self.0))
    }
}

impl PartialEq for RequestId {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.meaning() == other.meaning()
    }
}

impl Eq for RequestId {}

impl Hash for RequestId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.meaning().hash(state);
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({})", self.0)
    }
}

#[cfg(test)]
mod tests;
