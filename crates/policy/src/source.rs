//! Where policies come from: a folder, or the set compiled into the program.
//!
//! The order of files is the order of their names, so that the same folder gives the same set everywhere. Names that
//! begin with a dot are skipped: a mounted Kubernetes ConfigMap keeps its copies there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{Config, Error};

const MAX_DEPTH: usize = 16;
const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;

/// One Rego file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as messages name it.
    pub name: String,
    /// The text.
    pub text: Arc<str>,
}

/// One data file, read.
#[derive(Clone, Debug)]
struct Document {
    name: String,
    value: Value,
}

/// Rego files, their tests, and the data files beside them.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    origin: String,
    policies: Vec<SourceFile>,
    tests: Vec<SourceFile>,
    documents: Vec<Document>,
}

macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../policies/", $name)))),+]
    };
}

/// The files of the folder `policies` of this repository, without their tests.
const SHIPPED: &[(&str, &str)] = shipped![
    "blocklist.rego",
    "capabilities.rego",
    "data.yaml",
    "methods.rego",
    "rate_limit.rego",
];

/// The folder that is taken when the configuration names none.
const USUAL_DIR: &str = "policies";

const DIR_HINT: &str = "`policy.policy_dir` must be a folder with `*.rego` files; leave it out for the shipped policies";
const FILE_HINT: &str = "`policy.data_file` must be a JSON or YAML file";

impl Sources {
    /// The sources that the configuration names: `policy_dir` and `data_file`.
    ///
    /// # Errors
    ///
    /// As [`Sources::from_dir`] and [`Sources::with_data_file`].
    pub fn from_config(config: &Config) -> Result<Self, Error> {
        let usual = || Some(Path::new(USUAL_DIR)).filter(|dir| dir.is_dir());
        let dir = config.policy_dir.as_deref().or_else(usual);
        let sources = match dir.filter(|dir| !dir.as_os_str().is_empty()) {
            Some(dir) => Self::from_dir(dir).map_err(|error| hinted(error, dir, DIR_HINT))?,
            None => Self::embedded()?,
        };
        match &config.data_file {
            Some(path) => {
                sources.with_data_file(path).map_err(|error| hinted(error, path, FILE_HINT))
            }
            None => Ok(sources),
        }
    }

    /// Every `*.rego`, `*.json`, `*.yaml` and `*.yml` below `dir`. Files under a folder `schema` describe the input
    /// and are left out; `*_test.rego` are kept apart.
    ///
    /// # Errors
    ///
    /// [`Error::Read`], [`Error::Document`] and [`Error::Conflict`] name the file; [`Error::Misplaced`] names one that
    /// would be ignored.
    pub fn from_dir(dir: &Path) -> Result<Self, Error> {
        let mut paths = Vec::new();
        collect(dir, 0, &mut paths)?;
        paths.sort();
        let mut sources = Self { origin: dir.display().to_string(), ..Self::default() };
        for path in paths {
            sources.add(
                path.display().to_string(),
                read(&path, "check that it may be read")?.as_str(),
            )?;
        }
        sources.merged_data()?;
        Ok(sources)
    }

    /// The policies compiled into the program: the folder `policies` of the repository.
    ///
    /// # Errors
    ///
    /// None in a program that passes its tests.
    pub fn embedded() -> Result<Self, Error> {
        let mut sources = Self { origin: "shipped policies".to_owned(), ..Self::default() };
        for (name, text) in SHIPPED {
            sources.add(format!("policies/{name}"), text)?;
        }
        Ok(sources)
    }

    /// Sources from memory: pairs of file name and text, sorted by what the name ends in as files are.
    ///
    /// # Errors
    ///
    /// As [`Sources::from_dir`].
    pub fn from_texts(files: &[(&str, &str)]) -> Result<Self, Error> {
        let mut sources = Self { origin: "policies".to_owned(), ..Self::default() };
        for (name, text) in files {
            sources.add((*name).to_owned(), text)?;
        }
        sources.merged_data()?;
        Ok(sources)
    }

    /// Merges one more data file at the root of `data`.
    ///
    /// # Errors
    ///
    /// [`Error::Read`], [`Error::Document`] and [`Error::Conflict`] name the file.
    pub fn with_data_file(mut self, path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let text = read(path, "name a JSON or YAML file")?;
        let value = document(&name, &text)?;
        self.documents.push(Document { name, value });
        self.merged_data()?;
        Ok(self)
    }

    /// Where the sources came from, for messages.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The files that decide.
    #[must_use]
    pub fn policies(&self) -> &[SourceFile] {
        &self.policies
    }

    /// The files that test them.
    #[must_use]
    pub fn tests(&self) -> &[SourceFile] {
        &self.tests
    }

    /// All data files merged into the document `data`.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when two of them give one path different values.
    pub fn merged_data(&self) -> Result<Value, Error> {
        let mut merged = Map::new();
        for (index, document) in self.documents.iter().enumerate() {
            if let Value::Object(members) = &document.value
                && let Err(path) = merge(&mut merged, members)
            {
                let earlier = self.documents.iter().take(index);
                return Err(Error::Conflict {
                    first: definer(earlier, &path).unwrap_or(&self.origin).to_owned(),
                    second: document.name.clone(),
                    path: path.join("."),
                });
            }
        }
        Ok(Value::Object(merged))
    }

    /// The data file that defines the path below `data`, if one does.
    pub(crate) fn definer_of(&self, path: &[String]) -> Option<&str> {
        definer(self.documents.iter(), path)
    }

    fn add(&mut self, name: String, text: &str) -> Result<(), Error> {
        if name.ends_with(".rego") {
            let list =
                if name.ends_with("_test.rego") { &mut self.tests } else { &mut self.policies };
            list.push(SourceFile { name, text: text.into() });
        } else {
            let value = document(&name, text)?;
            self.documents.push(Document { name, value });
        }
        Ok(())
    }
}

/// Names the key of the configuration when what it names cannot be read.
fn hinted(error: Error, named: &Path, hint: &'static str) -> Error {
    if let Error::Read { path, cause, hint: own } = error {
        let hint = if path == named { hint } else { own };
        return Error::Read { path, cause, hint };
    }
    error
}

fn definer<'a>(
    mut documents: impl Iterator<Item = &'a Document>,
    path: &[String],
) -> Option<&'a str> {
    documents
        .find(|document| is_taken(&document.value, path))
        .map(|document| document.name.as_str())
}

/// Whether a document has a value at `path`, or one above it that is no object.
pub(crate) fn is_taken(document: &Value, path: &[String]) -> bool {
    let mut value = document;
    for key in path {
        let Value::Object(members) = value else { return true };
        let Some(member) = members.get(key) else { return false };
        value = member;
    }
    true
}

/// Merges `from` into `into`, objects member by member; the error is the path of a conflict.
fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) -> Result<(), Vec<String>> {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (None, _) => {
                into.insert(key.clone(), value.clone());
            }
            (Some(Value::Object(old)), Value::Object(new)) => {
                merge(old, new).map_err(|mut path| {
                    path.insert(0, key.clone());
                    path
                })?
            }
            (Some(old), new) if *old == *new => {}
            (Some(_), _) => return Err(vec![key.clone()]),
        }
    }
    Ok(())
}

fn document(name: &str, text: &str) -> Result<Value, Error> {
    let parsed = if name.ends_with(".json") {
        serde_json::from_str(text).map_err(|error| error.to_string())
    } else {
        // By way of its own values, which refuse a key that is given twice.
        serde_yaml::from_str::<serde_yaml::Value>(text)
            .map_err(|error| error.to_string())
            .and_then(|value| serde_json::to_value(value).map_err(|error| error.to_string()))
    };
    match parsed {
        Ok(value @ Value::Object(_)) => Ok(value),
        // A YAML file of comments only.
        Ok(Value::Null) => Ok(Value::Object(Map::new())),
        Ok(_) => {
            Err(Error::Document { file: name.to_owned(), message: "not an object".to_owned() })
        }
        Err(message) => Err(Error::Document { file: name.to_owned(), message }),
    }
}

fn read(path: &Path, remedy: &'static str) -> Result<String, Error> {
    let failed = |hint| move |cause| Error::Read { path: path.to_owned(), cause, hint };
    let size = fs::metadata(path).map_err(failed(remedy))?.len();
    if size > MAX_FILE_BYTES {
        let cause = std::io::Error::other("larger than 32 MiB");
        return Err(failed("split the file")(cause));
    }
    fs::read_to_string(path).map_err(failed("check that it may be read and is UTF-8"))
}

fn collect(dir: &Path, depth: usize, into: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |cause| Error::Read {
        path: dir.to_owned(),
        cause,
        hint: "name a folder with `*.rego` files",
    };
    if depth > MAX_DEPTH {
        return Err(failed(std::io::Error::other("folders nest more than 16 deep")));
    }
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if name.starts_with('.') {
            continue;
        }
        // Follows links, as a mounted ConfigMap is made of them.
        if fs::metadata(&path).map_err(failed)?.is_dir() {
            if name != "schema" {
                collect(&path, depth + 1, into)?;
            }
        } else if wanted(dir, &name, depth)? {
            into.push(path);
        }
    }
    Ok(())
}

fn wanted(dir: &Path, name: &str, depth: usize) -> Result<bool, Error> {
    let wanted = [".rego", ".json", ".yaml", ".yml"].iter().any(|ending| name.ends_with(ending));
    let in_json = depth > 0 && dir.file_name().is_some_and(|folder| folder == "json");
    if in_json && name.ends_with(".json") {
        return Err(Error::Misplaced {
            file: dir.join(name).display().to_string(),
            message: "JSON policies are not supported by this version; write the rules in Rego, or move data files \
                      out of the folder `json`",
        });
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests;
