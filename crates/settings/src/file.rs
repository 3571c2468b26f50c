//! The configuration file: read once, checked key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value as Json};
use serde_yaml::Value as Yaml;

use crate::catalog::{Leaf, Node, Section, join};
use crate::kind::{Kind, quoted};
use crate::locate::{Step, locate};
use crate::suggest::closest;
use crate::{Error, Place, Problem, reference, unavailable};

/// Most bytes of a configuration file.
const LIMIT: u64 = 1024 * 1024;

/// Most problems that are told of one file: whoever has more has named the wrong file.
const MOST_PROBLEMS: usize = 50;

/// What the file says.
#[derive(Debug, Default)]
pub(crate) struct FileLayer {
    pub(crate) tree: Json,
    /// The line of each key with a value.
    pub(crate) lines: BTreeMap<String, usize>,
    /// Keys whose value came through a reference.
    pub(crate) secrets: BTreeSet<String>,
    pub(crate) problems: Vec<Problem>,
}

/// Reads and checks the file.
///
/// # Errors
///
/// When it cannot be read or is not YAML. What is wrong with single keys is in the layer's problems.
pub(crate) fn read(
    path: &Path,
    catalog: &Section,
    env: &BTreeMap<String, String>,
) -> Result<FileLayer, Error> {
    let text = contents(path)?;
    let yaml = parse(path, &text)?;
    let mut reader = Reader { path, text: &text, catalog, env, layer: FileLayer::default() };
    reader.layer.tree = reader.section(catalog, &yaml, &mut Vec::new());
    Ok(reader.layer)
}

fn contents(path: &Path) -> Result<String, Error> {
    let unreadable = |cause| Error::Read { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Error::TooLarge { path: path.to_owned(), limit: LIMIT });
    }
    String::from_utf8(bytes)
        .map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())))
}

fn parse(path: &Path, text: &str) -> Result<Yaml, Error> {
    // A file of nothing but comments is an empty document, which the parser refuses.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Yaml::Null);
    }
    serde_yaml::from_str(text).map_err(|error| {
        let at = error.location().map(|it| (it.line(), Some(it.column())));
        let message = error.to_string();
        let remedy = if message.contains("duplicate entry") {
            "keep one of the two"
        } else if message.contains("repetition limit") {
            "write out what the aliases repeat"
        } else if message.contains("more than one document") {
            "remove what follows `---`"
        } else {
            "check indentation and quotes there"
        };
        let text = format!("the file is not valid YAML: {message}; {remedy}");
        let place = Place::File { path: path.to_owned(), at };
        Error::Invalid(vec![Problem { place, text }])
    })
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    catalog: &'a Section,
    env: &'a BTreeMap<String, String>,
    layer: FileLayer,
}

impl Reader<'_> {
    fn section(&mut self, section: &Section, yaml: &Yaml, steps: &mut Vec<Step>) -> Json {
        let mut tree = Map::new();
        let entries = match yaml {
            Yaml::Mapping(entries) => entries,
            // A section whose keys are all commented out.
            Yaml::Null => return Json::Object(tree),
            Yaml::Bool(_)
            | Yaml::Number(_)
            | Yaml::String(_)
            | Yaml::Sequence(_)
            | Yaml::Tagged(_) => {
                let name = if section.path.is_empty() { "the file" } else { &section.path };
                let found = describe(yaml);
                self.problem(
                    steps,
                    format!("`{name}`: expected a section with keys, found {found}"),
                );
                return Json::Object(tree);
            }
        };
        for (key, value) in entries {
            let Some(name) = key.as_str() else {
                let found = describe(key);
                self.problem(
                    steps,
                    format!("expected the name of a key, found {found}; remove it"),
                );
                continue;
            };
            steps.push(Step::Key(name.to_owned()));
            match section.child(name) {
                Some(Node::Section(child)) => {
                    let child = self.section(child, value, steps);
                    tree.insert(name.to_owned(), child);
                }
                Some(Node::Leaf(leaf)) => {
                    if let Some(value) = self.leaf(leaf, value, steps) {
                        tree.insert(name.to_owned(), value);
                    }
                }
                None => {
                    let text = self.unknown(section, name);
                    self.problem(steps, text);
                }
            }
            steps.pop();
        }
        Json::Object(tree)
    }

    fn unknown(&self, section: &Section, name: &str) -> String {
        let path = join(&section.path, name);
        if let Some(text) = unavailable::key(&path) {
            return text;
        }
        let siblings: Vec<&str> = section.children.iter().map(|(name, _)| name.as_str()).collect();
        let leaves = self.catalog.leaves();
        let elsewhere = || {
            let same = |leaf: &&&Leaf| leaf.path.rsplit('.').next() == Some(name);
            leaves.iter().find(same).map(|leaf| leaf.path.clone())
        };
        let meant = closest(name, siblings.iter().copied())
            .map(|sibling| join(&section.path, sibling))
            .or_else(elsewhere);
        match meant {
            Some(meant) => format!("`{path}`: there is no such key; did you mean `{meant}`?"),
            None => {
                format!("`{path}`: there is no such key; the keys here are {}", quoted(&siblings))
            }
        }
    }

    fn leaf(&mut self, leaf: &Leaf, yaml: &Yaml, steps: &mut Vec<Step>) -> Option<Json> {
        if let Some((line, _)) = locate(self.text, steps) {
            self.layer.lines.insert(leaf.path.clone(), line);
        }
        if leaf.nullable && yaml.is_null() {
            return Some(Json::Null);
        }
        self.value(leaf, &leaf.kind, yaml, steps)
    }

    fn value(
        &mut self,
        leaf: &Leaf,
        kind: &Kind,
        yaml: &Yaml,
        steps: &mut Vec<Step>,
    ) -> Option<Json> {
        let read = match (kind, yaml) {
            (Kind::Flag, Yaml::Bool(flag)) => Some(Json::Bool(*flag)),
            (Kind::Integer { .. }, Yaml::Number(number)) => {
                number.as_i64().and_then(|number| kind.number(number.into()))
            }
            (Kind::List(kind), Yaml::Sequence(items)) => {
                return self.list(leaf, kind, items, steps);
            }
            (Kind::Map(kind), Yaml::Mapping(entries)) => {
                return self.map(leaf, kind, entries, steps);
            }
            (_, Yaml::String(text)) => return self.text(leaf, kind, text, steps),
            _ => None,
        };
        if read.is_none() {
            self.mismatch(leaf, kind, &describe(yaml), remedy(kind, yaml), steps);
        }
        read
    }

    fn list(
        &mut self,
        leaf: &Leaf,
        kind: &Kind,
        items: &[Yaml],
        steps: &mut Vec<Step>,
    ) -> Option<Json> {
        let mut list = Vec::new();
        for (index, item) in items.iter().enumerate() {
            steps.push(Step::Item(index));
            list.extend(self.value(leaf, kind, item, steps));
            steps.pop();
        }
        Some(Json::Array(list))
    }

    fn map(
        &mut self,
        leaf: &Leaf,
        kind: &Kind,
        entries: &serde_yaml::Mapping,
        steps: &mut Vec<Step>,
    ) -> Option<Json> {
        let mut map = Map::new();
        for (key, value) in entries {
            let Some(name) = key.as_str() else {
                self.mismatch(leaf, &Kind::Text, &describe(key), "put the name in quotes", steps);
                continue;
            };
            steps.push(Step::Key(name.to_owned()));
            if let Some(value) = self.value(leaf, kind, value, steps) {
                map.insert(name.to_owned(), value);
            }
            steps.pop();
        }
        Some(Json::Object(map))
    }

    fn text(&mut self, leaf: &Leaf, kind: &Kind, text: &str, steps: &[Step]) -> Option<Json> {
        let resolved = match reference::resolve(text, self.env) {
            Ok(resolved) => resolved,
            Err(why) => {
                self.problem(steps, format!("`{}`: {why}", leaf.path));
                return None;
            }
        };
        if resolved.secret {
            self.layer.secrets.insert(leaf.path.clone());
        }
        // Text in the place of a number or a list may come through a reference, but not be written in quotes.
        let fits = resolved.secret || matches!(kind, Kind::Text | Kind::Span | Kind::Choice(_));
        let value = if fits { kind.parse(&resolved.text) } else { None };
        if value.is_none() {
            let found = if resolved.secret {
                format!("what `{text}` stands for")
            } else {
                format!("the text `{}`", shortened(text))
            };
            let remedy = if kind.parse(text).is_some() && !matches!(kind, Kind::List(_)) {
                "write it without quotes, as `true`, `false` or digits"
            } else {
                ""
            };
            self.mismatch(leaf, kind, &found, remedy, steps);
        }
        value
    }

    fn mismatch(&mut self, leaf: &Leaf, kind: &Kind, found: &str, remedy: &str, steps: &[Step]) {
        let separator = if remedy.is_empty() { "" } else { "; " };
        let text = format!(
            "`{}`: expected {}, found {found}{separator}{remedy}",
            leaf.path,
            kind.expects()
        );
        self.problem(steps, text);
    }

    fn problem(&mut self, steps: &[Step], text: String) {
        if self.layer.problems.len() >= MOST_PROBLEMS {
            return;
        }
        let at = if steps.is_empty() { Some((1, 1)) } else { locate(self.text, steps) };
        let at = at.map(|(line, column)| (line, Some(column)));
        let place = Place::File { path: self.path.to_owned(), at };
        self.layer.problems.push(Problem { place, text });
    }
}

fn remedy(kind: &Kind, yaml: &Yaml) -> &'static str {
    match (kind, yaml) {
        (_, Yaml::Null) => "write a value or remove the key",
        (Kind::Text | Kind::Choice(_), Yaml::Number(_) | Yaml::Bool(_)) => "put it in quotes",
        (Kind::Span, Yaml::Number(_)) => "add a unit",
        _ => "",
    }
}

fn describe(yaml: &Yaml) -> String {
    match yaml {
        Yaml::Null => "nothing".to_owned(),
        Yaml::Bool(flag) => format!("`{flag}`"),
        Yaml::Number(number) => format!("`{number}`"),
        Yaml::String(text) => format!("the text `{}`", shortened(text)),
        Yaml::Sequence(_) => "a list".to_owned(),
        Yaml::Mapping(_) => "a section".to_owned(),
        Yaml::Tagged(tagged) => format!("the tag `{}`", tagged.tag),
    }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    let mut short: String = text.chars().take(MOST).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short.escape_debug().to_string()
}

#[cfg(test)]
mod tests;
