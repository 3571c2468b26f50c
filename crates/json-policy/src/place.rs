//! A value with the place where it stands, so that every complaint can name it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::Error;

/// Longest string of a policy, in bytes: a line of Rego has 1,024 columns, and escapes take several.
const MAX_TEXT: usize = 150;
/// Longest message, in bytes; it may be split over several lines.
const MAX_MESSAGE: usize = 1024;

/// A value of a file.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    file: &'a str,
    path: String,
    value: &'a Value,
}

/// The members of an object, of which each is to be taken once.
pub(crate) struct Members<'a> {
    place: Place<'a>,
    members: &'a Map<String, Value>,
    known: BTreeSet<&'static str>,
}

impl<'a> Place<'a> {
    pub(crate) fn root(file: &'a str, value: &'a Value) -> Self {
        Self { file, path: String::new(), value }
    }

    pub(crate) fn value(&self) -> &'a Value {
        self.value
    }

    /// The complaint that the value here is not what it must be.
    pub(crate) fn invalid(&self, problem: impl Into<String>) -> Error {
        let path = if self.path.is_empty() { "." } else { &self.path };
        Error::Invalid {
            file: self.file.to_owned(),
            path: path.to_owned(),
            problem: problem.into(),
        }
    }

    pub(crate) fn below(&self, key: &str, value: &'a Value) -> Self {
        let separator = if self.path.is_empty() { "" } else { "." };
        Self { file: self.file, path: format!("{}{separator}{key}", self.path), value }
    }

    pub(crate) fn members(&self) -> Result<Members<'a>, Error> {
        let members = self.value.as_object().ok_or_else(|| self.invalid("must be an object"))?;
        Ok(Members { place: self.clone(), members, known: BTreeSet::new() })
    }

    /// A string that fits into a line.
    pub(crate) fn text(&self) -> Result<&'a str, Error> {
        self.text_of(MAX_TEXT)
    }

    /// A string for people.
    pub(crate) fn message(&self) -> Result<&'a str, Error> {
        self.text_of(MAX_MESSAGE)
    }

    fn text_of(&self, most: usize) -> Result<&'a str, Error> {
        let text = self.value.as_str().ok_or_else(|| self.invalid("must be a string"))?;
        if text.is_empty() {
            return Err(self.invalid("is empty"));
        }
        if text.len() > most {
            return Err(self.invalid(format!("is longer than {most} bytes")));
        }
        Ok(text)
    }

    pub(crate) fn flag(&self) -> Result<bool, Error> {
        self.value.as_bool().ok_or_else(|| self.invalid("must be `true` or `false`"))
    }

    pub(crate) fn whole(&self) -> Result<i64, Error> {
        self.value.as_i64().ok_or_else(|| self.invalid("must be a whole number"))
    }

    /// The items of a list with at least one.
    pub(crate) fn items(&self) -> Result<Vec<Place<'a>>, Error> {
        let items = self.value.as_array().ok_or_else(|| self.invalid("must be a list"))?;
        if items.is_empty() {
            return Err(self.invalid("is an empty list, which says nothing; remove it"));
        }
        let item = |(index, value)| Self {
            file: self.file,
            path: format!("{}[{index}]", self.path),
            value,
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The strings of a list with at least one.
    pub(crate) fn texts(&self) -> Result<Vec<&'a str>, Error> {
        self.items()?.iter().map(Self::text).collect()
    }

    /// The one of `words` that stands here.
    pub(crate) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Result<T, Error> {
        let text = self.value.as_str().unwrap_or_default();
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.invalid(format!("must be one of {}", known.join(", ")))
        })
    }
}

impl<'a> Members<'a> {
    /// The member `key`, if there is one.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Place<'a>> {
        self.known.insert(key);
        self.members.get(key).map(|value| self.place.below(key, value))
    }

    /// The member `key`, which must be there.
    pub(crate) fn need(&mut self, key: &'static str) -> Result<Place<'a>, Error> {
        self.get(key).ok_or_else(|| self.place.invalid(format!("has no `{key}`")))
    }

    /// The members that nobody has asked for.
    pub(crate) fn others(&self) -> impl Iterator<Item = (&'a str, Place<'a>)> {
        let unknown = |(key, _): &(&'a String, &'a Value)| !self.known.contains(key.as_str());
        let named =
            |(key, value): (&'a String, &'a Value)| (key.as_str(), self.place.below(key, value));
        self.members.iter().filter(unknown).map(named)
    }

    /// Refuses what nobody has asked for.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let Some((key, place)) = self.others().next() else { return Ok(()) };
        let meant = self
            .known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(key, known), known))
            .filter(|(distance, _)| *distance <= 2)
            .min();
        let known: Vec<String> = self.known.iter().map(|key| format!("`{key}`")).collect();
        Err(place.invalid(match meant {
            Some((_, meant)) => format!("is not known; did you mean `{meant}`?"),
            None => format!("is not known; known are {}", known.join(", ")),
        }))
    }
}
