//! The read set of a rule: the exact paths of `input` that it reads.
//!
//! Every evaluation sees the input projected on the read set and nothing else, so a decision is a function of those
//! paths whatever the analysis missed: that is what makes the decision cache sound.

use std::collections::BTreeSet;

use crate::fields::{Field, Fields};

/// Paths below `input`, none of which is above another. The empty path is the whole input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSet {
    paths: BTreeSet<Vec<String>>,
}

/// How much of a field is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent<'a> {
    /// Nothing.
    Nothing,
    /// All of it.
    Whole,
    /// The values at these paths below it.
    Below(Vec<&'a [String]>),
}

impl ReadSet {
    /// The whole input.
    #[must_use]
    pub fn everything() -> Self {
        Self { paths: BTreeSet::from([Vec::new()]) }
    }

    /// Adds what a reference to `path` reads. Below a field whose members are known, the field is read; a path that no
    /// input has reads nothing.
    pub fn add(&mut self, path: &[String]) {
        if !Field::ALL.iter().any(|(_, known)| meets(path, known)) {
            return;
        }
        let closed = Field::ALL.iter().find(|(field, known)| {
            known.len() < path.len() && meets(path, known) && !Fields::open().contains(*field)
        });
        let path = closed.and_then(|(_, known)| path.get(..known.len())).unwrap_or(path);
        if !self.covers(path) {
            self.paths.retain(|known| !known.starts_with(path));
            self.paths.insert(path.to_vec());
        }
    }

    /// Adds what `other` reads.
    pub fn join(&mut self, other: &Self) {
        other.paths.iter().for_each(|path| self.add(path));
    }

    /// Whether all of `path` is read.
    #[must_use]
    pub fn covers(&self, path: &[String]) -> bool {
        (0..=path.len())
            .any(|length| path.get(..length).is_some_and(|above| self.paths.contains(above)))
    }

    /// Whether every path of this set is read by the other.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.paths.iter().all(|path| other.covers(path))
    }

    /// Whether something at, above or below `path` is read.
    #[must_use]
    pub fn intersects<T: AsRef<str>>(&self, path: &[T]) -> bool {
        self.paths.iter().any(|known| meets(known, path))
    }

    /// Whether nothing is read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The fields of which something is read.
    #[must_use]
    pub fn fields(&self) -> Fields {
        self.paths.iter().fold(Fields::NONE, |fields, path| fields | Fields::at(path))
    }

    /// How much of the field at `known` is read.
    #[must_use]
    pub fn extent(&self, known: &[&str]) -> Extent<'_> {
        let mut below = Vec::new();
        for path in self.paths.iter().filter(|path| meets(path, known)) {
            match path.get(known.len()..) {
                Some(rest) if !rest.is_empty() => below.push(rest),
                _ => return Extent::Whole,
            }
        }
        if below.is_empty() { Extent::Nothing } else { Extent::Below(below) }
    }

    /// The paths as a policy would write them (`input.arguments.path`), sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.paths.iter().map(|path| written(path)).collect()
    }
}

impl<'a> FromIterator<&'a str> for ReadSet {
    /// The set of paths that are given without `input`, joined with dots.
    fn from_iter<I: IntoIterator<Item = &'a str>>(paths: I) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.add(&path.split('.').map(str::to_owned).collect::<Vec<_>>());
        }
        set
    }
}

/// Whether one path is the other or stands above it.
fn meets<A: AsRef<str>, B: AsRef<str>>(one: &[A], other: &[B]) -> bool {
    one.iter().zip(other).all(|(one, other)| one.as_ref() == other.as_ref())
}

/// A path below `input` as a policy would write it: `input.arguments.path`, `input.arguments["a b"]`.
#[must_use]
pub fn written(path: &[impl AsRef<str>]) -> String {
    let mut text = "input".to_owned();
    for part in path {
        let part = part.as_ref();
        if is_name(part) {
            text.extend([".", part]);
        } else {
            text.push_str(&format!("[{}]", serde_json::Value::from(part)));
        }
    }
    text
}

fn is_name(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests;
