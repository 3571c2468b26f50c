//! Where policies come from: a folder, or the set compiled into the program.
//!
//! The order of files is the order of their names, so that the same folder gives the same set everywhere. Names that
//! begin with a dot are skipped: a mounted Kubernetes ConfigMap keeps its copies there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::syntax::parse;
use crate::{Diagnostic, Error};

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
    /// The file of each JSON policy, by the policy's name.
    json: BTreeMap<String, String>,
    /// What is wrong with JSON policies.
    wrong: Vec<Diagnostic>,
    documents: Vec<Document>,
}

/// The files of the folder `policies` of this repository without their tests, as `build.rs` lists them.
const SHIPPED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// What messages call the policies that are compiled into the program, and the folder they come from.
const SHIPPED_ORIGIN: &str = "shipped policies";
const SHIPPED_FOLDER: &str = "policies";

impl Sources {
    /// Every `*.rego`, `*.json`, `*.yaml` and `*.yml` below `dir`. Files under a folder `schema` describe the input
    /// and are left out; `*_test.rego` are kept apart; `*.json` in a folder `json` are JSON policies, and compiled.
    ///
    /// # Errors
    ///
    /// [`Error::Read`], [`Error::Document`] and [`Error::Conflict`] name the file; [`Error::Refused`] holds all that is
    /// wrong with JSON policies.
    pub fn from_dir(dir: &Path) -> Result<Self, Error> {
        Self::from_paths(&[dir])
    }

    /// As [`Sources::from_dir`], of several folders and files.
    ///
    /// # Errors
    ///
    /// As [`Sources::from_dir`].
    pub fn from_paths(named: &[&Path]) -> Result<Self, Error> {
        let mut paths = Vec::new();
        for path in named {
            if path.is_file() {
                paths.push(path.to_path_buf());
            } else {
                collect(path, 0, &mut paths)?;
            }
        }
        paths.sort();
        let names: Vec<String> = named.iter().map(|path| path.display().to_string()).collect();
        let mut sources = Self { origin: names.join(", "), ..Self::default() };
        for path in paths {
            sources.add(
                path.display().to_string(),
                read(&path, "check that it may be read")?.as_str(),
            )?;
        }
        sources.settled()
    }

    /// The policies compiled into the program: the folder `policies` of the repository.
    ///
    /// # Errors
    ///
    /// None in a program that passes its tests.
    pub fn embedded() -> Result<Self, Error> {
        let mut sources = Self { origin: SHIPPED_ORIGIN.to_owned(), ..Self::default() };
        for (name, text) in SHIPPED {
            sources.add((*name).to_owned(), text)?;
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
        sources.settled()
    }

    /// Sources that were unpacked from `origin`: Rego files by name, and documents that are merged at the root of `data`.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] names two documents, and [`Error::Refused`] the modules whose packages `owns` does not admit.
    pub fn from_parts(
        origin: String,
        policies: impl IntoIterator<Item = (String, String)>,
        documents: impl IntoIterator<Item = (String, Value)>,
        owns: impl Fn(&[String]) -> bool,
    ) -> Result<Self, Error> {
        let mut sources = Self { origin, ..Self::default() };
        for (name, text) in policies {
            sources.add(name, &text)?;
        }
        for file in sources.policies.iter().chain(&sources.tests) {
            // What cannot be parsed is refused with all its findings when the set is loaded.
            let Ok(module) = parse(file) else { continue };
            if !owns(&module.package) {
                let (package, hint) =
                    (module.package.join("."), "name it in the roots of the manifest");
                let message = format!("package `{package}` is in no root of {}", sources.origin);
                let (code, span) = ("roots", module.package_span);
                sources.wrong.push(module.error(span, code, message, hint));
            }
        }
        let documents = documents.into_iter().map(|(name, value)| Document { name, value });
        sources.documents = documents.collect();
        sources.settled()
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

    /// Adds every `*.json` below `dir` as a JSON policy.
    ///
    /// # Errors
    ///
    /// As [`Sources::from_dir`].
    pub fn with_json_dir(mut self, dir: &Path) -> Result<Self, Error> {
        let mut paths = Vec::new();
        collect(dir, 0, &mut paths)?;
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|it| it == "json")) {
            self.add_json(path.display().to_string(), &read(path, "check that it may be read")?);
        }
        self.settled()
    }

    /// Where the sources came from, for messages.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The name of a file below the folder that it came from: the same wherever the folder lies.
    #[must_use]
    pub fn name_within<'n>(&self, name: &'n str) -> &'n str {
        let folder = if self.origin == SHIPPED_ORIGIN { SHIPPED_FOLDER } else { &self.origin };
        let within = name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        within.unwrap_or(name)
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

    /// The sources, if all in them is right.
    fn settled(mut self) -> Result<Self, Error> {
        self.merged_data()?;
        let wrong = std::mem::take(&mut self.wrong);
        if wrong.is_empty() { Ok(self) } else { Err(Error::Refused(wrong)) }
    }

    /// Adds what a JSON policy becomes, under the name of its file.
    fn add_json(&mut self, name: String, text: &str) {
        let file = |text: &str| SourceFile { name: name.clone(), text: text.into() };
        let refused = |message: String, hint: &str| {
            // The compiler's texts begin with the file.
            let message = message.strip_prefix(&format!("{name}: ")).unwrap_or(&message);
            Diagnostic::error(&file(text), (0, 0), "json-policy", message.to_owned(), hint)
        };
        match json_policy::compile(&name, text) {
            Err(error) => self.wrong.push(refused(error.to_string(), "correct the file")),
            Ok(compiled) => {
                if let Some(first) = self.json.get(&compiled.name) {
                    let message = format!("{first} has a policy `{}` too", compiled.name);
                    self.wrong.push(refused(message, "give each its own name"));
                }
                self.policies.push(file(&compiled.rego));
                self.json.insert(compiled.name, name);
            }
        }
    }

    fn add(&mut self, name: String, text: &str) -> Result<(), Error> {
        if is_json_policy(Path::new(&name)) {
            self.add_json(name, text);
        } else if name.ends_with(".rego") {
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
        json_policy::strict_json(text).map_err(|error| error.to_string())
    } else {
        // By way of its own values, which refuse a key that is given twice, as strict JSON does.
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
    let found = fs::metadata(path).map_err(failed(remedy))?;
    // A pipe would be waited for, and a device such as `/dev/zero` has no end.
    if !found.is_file() {
        let cause = std::io::Error::other("not a regular file");
        return Err(failed(remedy)(cause));
    }
    if found.len() > MAX_FILE_BYTES {
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
        // Follows links, as a mounted ConfigMap is made of them. One that leads nowhere may have led to a folder of
        // rules, so that nothing is loaded.
        let found = fs::metadata(&path).map_err(|cause| Error::Read {
            path: path.clone(),
            cause,
            hint: "mend or remove the link, and check that it may be read",
        })?;
        if found.is_dir() {
            if name != "schema" {
                collect(&path, depth + 1, into)?;
            }
        } else if [".rego", ".json", ".yaml", ".yml"].iter().any(|ending| name.ends_with(ending)) {
            into.push(path);
        }
    }
    Ok(())
}

/// Whether a file lies in a folder `json`.
fn is_json_policy(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::file_name);
    path.extension().is_some_and(|it| it == "json") && folder.is_some_and(|it| it == "json")
}

#[cfg(test)]
mod tests;
