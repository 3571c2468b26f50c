//! Section `policy` of the configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::{Mode, RuleMode, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use bundle::Bundle;

use rego::{Error, Sources};

/// What decides, and what is done with a denial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether policy decides. When it is off, every message passes and is recorded with the rule
    /// `policy_disabled`.
    pub enabled: bool,
    /// What a denial does: `enforce` refuses the message, `audit` forwards it and records that it would have
    /// been refused.
    pub mode: Mode,
    /// Folder with Rego files, their tests and data files, searched recursively. Without one: the folder `policies`
    /// where the gateway is started, if there is one, else the policies that are compiled into the program. An empty
    /// name means the compiled-in ones in any case.
    pub policy_dir: Option<PathBuf>,
    /// A further JSON or YAML file, merged at the root of `data`.
    pub data_file: Option<PathBuf>,
    /// Name of the environment (`production`, `staging`), seen by policy as `input.context.environment` and kept
    /// in the audit log.
    pub environment: String,
    /// Folder with policies in the JSON form, compiled to Rego when they are loaded.
    pub json_policy_dir: Option<PathBuf>,
    /// The modes of single rules, so that a new one can be watched while the others deny: `off`, `observe` (record
    /// what it would deny), `warn` (also write a line into the log) or `enforce`. A rule goes by the `rule` of its reasons,
    /// the `matched_rule` of a decision, or its path (`data.mcp.policy.allow`). Rules that are not named are enforced.
    pub rules: BTreeMap<String, RuleMode>,
    /// What a denied tool call is answered with: `error`, a JSON-RPC error, or `tool_error`, a tool result that is
    /// marked as an error, for agents that show their model nothing else.
    pub deny_as: DenyAs,
    /// Whether a denial says no more than that there is no such tool, resource or prompt. Agents then cannot tell what
    /// they may ask for.
    pub hide_denied: bool,
    /// Names of HTTP headers of the client that policy sees as `input.context.headers`, in any case.
    pub headers: Vec<String>,
    /// Policies from a bundle in OPA's layout, in the place of `policy_dir`.
    pub bundle: bundle::Config,
    /// Whether the policies are loaded again when their files change.
    pub watch_for_changes: bool,
    /// What happens before a changed set serves.
    pub reload: ReloadConfig,
    /// The cache of decisions.
    pub cache: CacheConfig,
    /// Limits of one evaluation.
    pub evaluation: EvaluationConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            mode: Mode::Enforce,
            policy_dir: None,
            data_file: None,
            environment: String::new(),
            json_policy_dir: None,
            rules: BTreeMap::new(),
            deny_as: DenyAs::default(),
            hide_denied: false,
            headers: Vec::new(),
            bundle: bundle::Config::default(),
            watch_for_changes: true,
            reload: ReloadConfig::default(),
            cache: CacheConfig::default(),
            evaluation: EvaluationConfig::default(),
        }
    }
}

/// What a denied tool call is answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DenyAs {
    /// A JSON-RPC error.
    #[default]
    Error,
    /// A tool result that is marked as an error.
    ToolError,
}

/// What happens before a changed set serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReloadConfig {
    /// How many of the last recorded decisions are made again under the changed set, to find out what it would allow
    /// that was denied. 0 turns the comparison off.
    pub replay: u32,
    /// Whether a set that allows what was denied waits for `mcp-proxy policy approve`, while the old one serves on.
    pub hold_weaker: bool,
}

impl Default for ReloadConfig {
    fn default() -> Self {
        Self { replay: 1000, hold_weaker: false }
    }
}

/// The cache of decisions. A decision is reused only when every field of the input that the rules read is the same
/// byte for byte; rules that read counters or time are evaluated each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Whether decisions are reused.
    pub enabled: bool,
    /// How many decisions each worker thread keeps.
    pub max_entries: usize,
    /// How long a decision may be reused.
    pub ttl: Span,
    /// One reused decision in so many is made again on the whole input by the interpreter. A difference is logged as an
    /// error and turns the cache off. 0 never checks.
    pub verify_every: u32,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { enabled: true, max_entries: 10_000, ttl: Span::secs(300), verify_every: 1000 }
    }
}

/// Limits of one evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationConfig {
    /// How long one evaluation may take, from `1ms` to `10s`. One that takes longer is a denial.
    pub timeout: Span,
    /// How many instructions of the virtual machine one evaluation may take, from 1,000. One that takes more is a denial.
    /// Sets that are served by the interpreter are bounded by the time alone.
    pub max_instructions: usize,
    /// Bytes of what the rules read of one message, from 1,024. More is a denial: it bounds the memory of an evaluation,
    /// and the time of a single builtin function, which no clock interrupts: for most of them up to about 20 ms at the
    /// default, longer where the time grows with the square of a text (`regex.find_n`, `regex.replace` with patterns that
    /// match everywhere). Raise it where rules look through long texts; what no rule reads does not count.
    pub max_input: usize,
    /// Whether an error inside a builtin function (division by zero, a bad pattern) fails the evaluation, which is
    /// a denial. Otherwise the expression is undefined, as in OPA.
    pub strict_builtin_errors: bool,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            timeout: Span::millis(10),
            max_instructions: 50_000_000,
            max_input: 64 * 1024,
            strict_builtin_errors: false,
        }
    }
}

/// The folder that is taken when the configuration names none.
const USUAL_DIR: &str = "policies";

const DIR_HINT: &str = "`policy.policy_dir` must be a folder with `*.rego` files; leave it out for the shipped policies";
const JSON_HINT: &str = "`policy.json_policy_dir` must be a folder with JSON policies";
const FILE_HINT: &str = "`policy.data_file` must be a JSON or YAML file";

impl Config {
    /// The folder that the policies are read from, as things stand; `None` stands for the compiled-in ones.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        let usual = || Some(Path::new(USUAL_DIR)).filter(|dir| dir.is_dir());
        let dir = self.policy_dir.as_deref().or_else(usual);
        dir.filter(|dir| !dir.as_os_str().is_empty())
    }

    /// The sources that the configuration names: the bundle as it is on disk, or `policy_dir` and `json_policy_dir`; and
    /// `data_file`.
    ///
    /// # Errors
    ///
    /// As [`Config::sources_of`], [`Sources::from_dir`], [`Sources::with_json_dir`] and [`Sources::with_data_file`];
    /// [`Error::Package`] when the bundle cannot be read.
    pub fn sources(&self) -> Result<Sources, Error> {
        if self.bundle.is_on() {
            return self.sources_of(
                &bundle::read_file(self.bundle.path(), &self.bundle).map_err(packaged)?,
            );
        }
        let sources = match self.folder() {
            Some(dir) => Sources::from_dir(dir).map_err(|error| hinted(error, dir, DIR_HINT))?,
            None => Sources::embedded()?,
        };
        let sources = match &self.json_policy_dir {
            Some(dir) => {
                sources.with_json_dir(dir).map_err(|error| hinted(error, dir, JSON_HINT))?
            }
            None => sources,
        };
        self.with_data(sources)
    }

    /// The sources in this bundle, and `data_file`.
    ///
    /// # Errors
    ///
    /// As [`Sources::from_parts`] and [`Sources::with_data_file`].
    pub fn sources_of(&self, bundle: &Bundle) -> Result<Sources, Error> {
        let origin = match bundle.manifest().revision.as_str() {
            "" => "the bundle".to_owned(),
            revision => format!("the bundle `{revision}`"),
        };
        let documents = bundle.documents().iter().map(|it| (it.name.clone(), it.value.clone()));
        let owns = |package: &[String]| bundle.manifest().owns(package);
        let policies = bundle.policies().iter().cloned();
        self.with_data(Sources::from_parts(origin, policies, documents, owns)?)
    }

    fn with_data(&self, sources: Sources) -> Result<Sources, Error> {
        match &self.data_file {
            Some(path) => {
                sources.with_data_file(path).map_err(|error| hinted(error, path, FILE_HINT))
            }
            None => Ok(sources),
        }
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] names the key that is out of range.
    pub fn validate(&self) -> Result<(), Error> {
        let refused = |key, value: String, hint| Err(Error::Setting { key, value, hint });
        self.bundle.validate().map_err(packaged)?;
        let named =
            |dir: &Option<PathBuf>| dir.as_ref().is_some_and(|dir| !dir.as_os_str().is_empty());
        if self.bundle.is_on() && (named(&self.policy_dir) || named(&self.json_policy_dir)) {
            let hint = "remove `policy.policy_dir` and `policy.json_policy_dir`: the policies are those of the bundle";
            return refused("bundle", "given beside a folder".to_owned(), hint);
        }
        let EvaluationConfig { timeout, max_instructions, max_input, .. } = self.evaluation;
        if !(Duration::from_millis(1)..=Duration::from_secs(10)).contains(&timeout.duration()) {
            let hint = "set it between `1ms` and `10s`";
            return refused("evaluation.timeout", format!("`{timeout}`"), hint);
        }
        if max_instructions < 1000 {
            let hint = "set it to 1000 or more";
            return refused("evaluation.max_instructions", max_instructions.to_string(), hint);
        }
        if max_input < 1024 {
            let hint = "set it to 1024 or more";
            return refused("evaluation.max_input", max_input.to_string(), hint);
        }
        if self.cache.enabled && self.cache.max_entries == 0 {
            let hint =
                "set it to 1 or more, or turn the cache off with `policy.cache.enabled: false`";
            return refused("cache.max_entries", "0".to_owned(), hint);
        }
        if let Some(name) = self.headers.iter().find(|name| !is_header(name)) {
            let hint = "name HTTP headers such as `x-tenant`";
            return refused("headers", format!("`{name}`"), hint);
        }
        if let Some(name) = self.headers.iter().find(|name| is_credential(name)) {
            let hint = "credentials are not for policies; read `input.identity` instead";
            return refused("headers", format!("`{name}`"), hint);
        }
        Ok(())
    }
}

fn is_header(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

fn is_credential(name: &str) -> bool {
    const CREDENTIALS: [&str; 4] =
        ["authorization", "cookie", "mcp-session-id", "proxy-authorization"];
    CREDENTIALS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn packaged(error: bundle::Error) -> Error {
    Error::Package(error.into())
}

/// Names the key of the configuration when what it names cannot be read.
fn hinted(error: Error, named: &Path, hint: &'static str) -> Error {
    if let Error::Read { path, cause, hint: own } = error {
        let hint = if path == named { hint } else { own };
        return Error::Read { path, cause, hint };
    }
    error
}

#[cfg(test)]
mod tests;
