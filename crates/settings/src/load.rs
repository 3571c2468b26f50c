//! Default, file and environment, one above the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Map, Source, Value, ValueKind};
use serde_json::Value as Json;

use crate::catalog::Section;
use crate::environment::{self, EnvironmentLayer};
use crate::file::{self, FileLayer};
use crate::{Error, Place, Problem, Settings, validate};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Env {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env { name } => f.write_str(name),
        }
    }
}

/// Settings with their history.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Where the value of each key comes from, by its path (`server.listen.port`).
    pub origins: BTreeMap<String, Origin>,
    /// What did not stop the start and should be known, each a sentence for the log.
    pub warnings: Vec<String>,
    /// Keys whose value must not be shown.
    pub(crate) secrets: BTreeSet<String>,
}

impl Settings {
    /// Reads the file, if there is one, and the environment; see [`process_environment`](crate::process_environment).
    ///
    /// # Errors
    ///
    /// [`Error`], with everything that is wrong with keys, variables and values at once.
    pub fn load(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Loaded, Error> {
        let loaded = layer(path, env)?;
        let problems = validate::problems(&loaded.settings);
        Error::unless_empty(problems.into_iter().map(|text| loaded.placed(text)).collect())?;
        Ok(loaded)
    }
}

/// Everything but the checks across keys.
fn layer(
    path: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, Error> {
    let catalog = Section::root();
    let env: BTreeMap<String, String> = env.collect();
    let mut file = match path {
        Some(path) => file::read(path, &catalog, &env)?,
        None => FileLayer { tree: Json::Object(serde_json::Map::new()), ..FileLayer::default() },
    };
    let mut variables = environment::read(&catalog, &env);
    file.problems.append(&mut variables.problems);
    Error::unless_empty(file.problems)?;

    let origins = origins(&catalog, path, &file.lines, &variables);
    // What a variable overrides no longer holds the secret of the file.
    file.secrets.retain(|key| !variables.names.contains_key(key));
    let settings = join(&[file.tree, variables.tree])?;
    Ok(Loaded { settings, origins, warnings: variables.warnings, secrets: file.secrets })
}

fn origins(
    catalog: &Section,
    path: Option<&Path>,
    lines: &BTreeMap<String, usize>,
    variables: &EnvironmentLayer,
) -> BTreeMap<String, Origin> {
    let origin = |key: &String| {
        if let Some(name) = variables.names.get(key) {
            return Origin::Env { name: name.clone() };
        }
        match (path, lines.get(key)) {
            (Some(path), Some(line)) => Origin::File { path: path.to_owned(), line: *line },
            _ => Origin::Default,
        }
    };
    catalog.leaves().iter().map(|leaf| (leaf.path.clone(), origin(&leaf.path))).collect()
}

/// Joins the layers, later ones above earlier ones. What no layer sets has its default.
fn join(layers: &[Json]) -> Result<Settings, Error> {
    let mut builder = Config::builder();
    for layer in layers {
        builder = builder.add_source(Tree(layer.clone()));
    }
    // Through a plain tree: `config` itself would read `"1"` as a number where one is expected.
    let joined: Json = builder.build()?.try_deserialize()?;
    serde_json::from_value(joined)
        .map_err(|error| Error::Layers(ConfigError::Foreign(error.into())))
}

/// A layer that was read and checked, for the crate `config`.
#[derive(Clone, Debug)]
struct Tree(Json);

impl Source for Tree {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        value(&self.0).into_table()
    }
}

fn value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => ValueKind::Nil,
        Json::Bool(flag) => ValueKind::Boolean(*flag),
        Json::Number(number) => number.as_i64().map_or(ValueKind::Nil, ValueKind::I64),
        Json::String(text) => ValueKind::String(text.clone()),
        Json::Array(items) => ValueKind::Array(items.iter().map(value).collect()),
        Json::Object(map) => {
            ValueKind::Table(map.iter().map(|(name, json)| (name.clone(), value(json))).collect())
        }
    };
    Value::new(None, kind)
}

impl Loaded {
    /// Says where the first key that `text` names was set.
    fn placed(&self, text: String) -> Problem {
        let named = text.split('`').find_map(|word| {
            let key = word.split('[').next()?;
            self.origins.get(key)
        });
        let place = match named {
            Some(Origin::File { path, line }) => {
                Place::File { path: path.clone(), at: Some((*line, None)) }
            }
            Some(Origin::Env { name }) => Place::Variable(name.clone()),
            Some(Origin::Default) | None => Place::Settings,
        };
        Problem { place, text }
    }
}

#[cfg(test)]
mod tests;
