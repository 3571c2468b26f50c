//! `.manifest`: what a bundle says of itself.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;

/// What a bundle says of itself. Members that are not known here do not matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The publisher's name for this state of the bundle; empty when there is none.
    #[serde(default)]
    pub revision: String,
    /// The paths below `data` that the bundle may define, as in `mcp/policy`. None given stands for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<Vec<String>>,
}

impl Manifest {
    /// Its name in a bundle.
    pub(crate) const NAME: &str = ".manifest";

    /// Reads a manifest.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Error> {
        // An object: a list would be taken for the members in their order.
        let manifest: Self = serde_json::from_slice::<Map<String, Value>>(text)
            .and_then(|members| serde_json::from_value(Value::Object(members)))
            .map_err(|error| Error::entry(Self::NAME, format!("is not a manifest: {error}")))?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Checks that no root lies in another.
    ///
    /// # Errors
    ///
    /// The two roots that overlap.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let roots: Vec<Vec<&str>> = self.roots().map(segments).collect();
        for (index, one) in roots.iter().enumerate() {
            let overlaps =
                |other: &&Vec<&str>| other.starts_with(one) || one.starts_with(other.as_slice());
            if let Some(other) = roots.iter().skip(index + 1).find(overlaps) {
                let problem = format!(
                    "has roots that overlap: `{}` and `{}`; keep the outer one",
                    one.join("/"),
                    other.join("/")
                );
                return Err(Error::entry(Self::NAME, problem));
            }
        }
        Ok(())
    }

    /// Whether what stands at this path below `data` belongs to the bundle.
    pub fn owns<S: AsRef<str>>(&self, path: &[S]) -> bool {
        let inside = |root: &str| {
            let root = segments(root);
            root.len() <= path.len()
                && root.iter().zip(path).all(|(one, other)| *one == other.as_ref())
        };
        self.roots.is_none() || self.roots().any(inside)
    }

    /// The first path in `value`, which stands at `path`, that does not belong to the bundle.
    pub(crate) fn stray(&self, path: &mut Vec<String>, value: &Value) -> Option<String> {
        if self.owns(path) {
            return None;
        }
        let leads = |root: &str| {
            let root = segments(root);
            root.len() > path.len() && root.iter().zip(&*path).all(|(one, other)| one == other)
        };
        let Some(members) = value.as_object().filter(|_| self.roots().any(leads)) else {
            return Some(path.join("/"));
        };
        for (key, value) in members {
            path.push(key.clone());
            let stray = self.stray(path, value);
            path.pop();
            if stray.is_some() {
                return stray;
            }
        }
        None
    }

    fn roots(&self) -> impl Iterator<Item = &str> {
        self.roots.iter().flatten().map(String::as_str)
    }
}

fn segments(root: &str) -> Vec<&str> {
    root.split('/').filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests;
