//! What is in a bundle.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::archive::{Files, pack, unpack};
use crate::signature::SIGNATURES;
use crate::{Error, Manifest, Verification};

/// Names of data files; other JSON and YAML is not data (OPA, bundle file format).
const DATA: [&str; 3] = ["data.json", "data.yaml", "data.yml"];

/// One data file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its name in the bundle.
    pub name: String,
    /// The document `data` with the content at the path of its folder.
    pub value: Value,
}

/// A bundle that was read and, where keys were given, verified.
#[derive(Clone, Debug)]
pub struct Bundle {
    manifest: Manifest,
    policies: Vec<(String, String)>,
    documents: Vec<Document>,
    packed: Bytes,
}

impl Bundle {
    /// Reads a bundle from its bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Archive`], [`Error::Signature`], and [`Error::Entry`], which names the file.
    pub fn read(packed: Bytes, verification: &Verification) -> Result<Self, Error> {
        let files = unpack(&packed)?;
        verification.verify(&files)?;
        let manifest = match files.get(Manifest::NAME) {
            Some(text) => Manifest::parse(text)?,
            None => Manifest::default(),
        };
        let (mut policies, mut documents) = (Vec::new(), Vec::new());
        for (name, content) in &files {
            let (folder, base) = name.rsplit_once('/').unwrap_or(("", name));
            let text = || {
                str::from_utf8(content)
                    .map_err(|error| Error::entry(name, format!("is not UTF-8: {error}")))
            };
            if DATA.contains(&base) {
                let value = parse(base, text()?)
                    .map_err(|problem| Error::entry(name, format!("cannot be read: {problem}")))?;
                documents.push(document(name, folder, value, &manifest)?);
            } else if base.ends_with(".rego") {
                policies.push((name.clone(), text()?.to_owned()));
            }
        }
        Ok(Self { manifest, policies, documents, packed })
    }

    /// What the bundle says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The Rego files by name.
    #[must_use]
    pub fn policies(&self) -> &[(String, String)] {
        &self.policies
    }

    /// The data files.
    #[must_use]
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// The bytes that the bundle was read from.
    pub(crate) fn packed(&self) -> &Bytes {
        &self.packed
    }
}

/// Packs files under a manifest. What is built means the same to OPA.
///
/// # Errors
///
/// [`Error::Entry`] names what cannot be packed, and roots that overlap.
pub fn build(manifest: &Manifest, mut files: Files) -> Result<Vec<u8>, Error> {
    manifest.validate()?;
    let text = serde_json::to_vec(manifest)
        .map_err(|error| Error::entry(Manifest::NAME, error.to_string()))?;
    files.insert(Manifest::NAME.to_owned(), text);
    // It would be of the files as they were.
    files.remove(SIGNATURES);
    pack(&files)
}

/// Reads the text of a data file.
pub(crate) fn parse(name: &str, text: &str) -> Result<Value, String> {
    if name.ends_with(".json") {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    // By way of its own values, which refuse a key that is given twice.
    let value: serde_yaml::Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    serde_json::to_value(value).map_err(|error| error.to_string())
}

/// Puts a value at the path of its folder.
fn document(
    name: &str,
    folder: &str,
    value: Value,
    manifest: &Manifest,
) -> Result<Document, Error> {
    let mut path: Vec<String> =
        folder.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if let Some(stray) = manifest.stray(&mut path, &value) {
        let problem = format!("defines `{stray}`, which the roots of the manifest do not name");
        return Err(Error::entry(name, problem));
    }
    let value = path
        .into_iter()
        .rev()
        .fold(value, |value, key| Value::Object(Map::from_iter([(key, value)])));
    if !value.is_object() {
        return Err(Error::entry(name, "is not an object; the root of `data` must be one"));
    }
    Ok(Document { name: name.to_owned(), value })
}

#[cfg(test)]
mod tests;
