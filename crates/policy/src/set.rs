//! A loaded, checked and compiled set of policies. It never changes.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use domain::{Revision, Stage};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::config::CacheConfig;
use crate::definition::Edit;
use crate::fields::Fields;
use crate::graph::Graph;
use crate::runner::{self, Limits, Refusal, Runner, Text};
use crate::source::{SourceFile, is_taken};
use crate::split::{Declared, PACKAGE, Split, edited};
use crate::syntax::{self, Module};
use crate::{Config, Error, Sources, fast, probe, safety};

/// Which evaluator serves a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The virtual machine of regorus, checked against the interpreter at load.
    Rvm,
    /// The interpreter of regorus.
    Interpreter {
        /// Why not the virtual machine.
        reason: String,
    },
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rvm => f.write_str("rvm"),
            Self::Interpreter { reason } => write!(f, "interpreter ({reason})"),
        }
    }
}

/// A set of policies, ready to decide.
pub struct PolicySet {
    pub(crate) revision: Revision,
    pub(crate) declared: Declared,
    pub(crate) split: Split,
    pub(crate) cache: CacheConfig,
    pub(crate) limits: Limits,
    engine: Engine,
    /// As written, for the interpreter.
    golden: Vec<Text>,
    /// As the serving engine reads them.
    serving: Vec<Text>,
    document: Value,
    examines_answers: bool,
}

/// How long one evaluation may take while the engines are compared.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

impl PolicySet {
    /// Loads a set: parses, checks, compiles, and tries the compiled form against the interpreter.
    ///
    /// # Errors
    ///
    /// Any of [`Error`], with file and line where there is one.
    pub fn load(sources: &Sources, config: &Config) -> Result<Self, Error> {
        config.validate()?;
        let modules = parse_all(sources.policies())?;
        for module in &modules {
            check_package(module)?;
        }
        let graph = Graph::new(&modules);
        graph.check(&modules)?;
        graph.check_strays(&modules)?;
        let binding_heads = safety::check(&modules)?;
        let declared = Declared::new(&graph);
        if !declared.decides() {
            return Err(Error::Undecided { origin: sources.origin().to_owned() });
        }
        graph.check_heads(&modules, &declared.entries())?;
        let document = sources.merged_data()?;
        check_document(&graph, &modules, sources, &document)?;
        let limits = Limits {
            timeout: config.evaluation.timeout.duration(),
            strict_builtin_errors: config.evaluation.strict_builtin_errors,
        };
        let mut set = Self {
            revision: revision(&modules, &document),
            declared,
            split: Split::new(&graph, declared),
            cache: config.cache.clone(),
            limits,
            engine: Engine::Rvm,
            golden: texts(&graph, &modules, |_| Vec::new()),
            serving: Vec::new(),
            document,
            examines_answers: examines_answers(&graph, declared),
        };
        set.check_texts(sources.origin())?;
        let objection = fast::objection(&graph).or_else(|| {
            binding_heads.then(|| "a head or an element that binds a variable".to_owned())
        });
        set.choose_engine(objection, &graph, &modules, sources.origin())?;
        Ok(set)
    }

    /// Which evaluator serves the set.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The name of the set: a hash over all its sources and data.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    pub(crate) fn examines(&self, stage: Stage) -> bool {
        match stage {
            Stage::Request | Stage::List | Stage::ServerRequest => true,
            Stage::Response => self.examines_answers,
        }
    }

    /// A fresh evaluator of the serving engine, for one thread.
    pub(crate) fn runner(&self) -> Result<Runner, String> {
        match self.engine {
            Engine::Rvm => self.rvm().map_err(Refusal::into_text),
            Engine::Interpreter { .. } => {
                Runner::interpreter(&self.serving, &self.document, self.limits, &self.split)
            }
        }
    }

    fn rvm(&self) -> Result<Runner, Refusal> {
        Runner::rvm(&self.serving, &self.document, self.limits, &self.split)
    }

    /// A fresh interpreter on the texts as written.
    pub(crate) fn golden(&self) -> Result<regorus::Engine, String> {
        runner::interpreter(&self.golden, &self.document, self.limits)
    }

    /// Errors that regorus finds only when it prepares an evaluation, such as unsafe variables.
    fn check_texts(&self, origin: &str) -> Result<(), Error> {
        let compile = |message: String| Error::Compile { origin: origin.to_owned(), message };
        let entry =
            self.declared.entries().first().map(|entry| format!("data.{}", entry.join(".")));
        let mut engine = self.golden().map_err(compile)?;
        engine
            .compile_with_entrypoint(&entry.unwrap_or_default().into())
            .map(drop)
            .map_err(|error| compile(runner::one_line(&error.to_string())))
    }

    /// What the virtual machine does not know is left to the interpreter; what is wrong is refused.
    fn choose_engine(
        &mut self,
        objection: Option<String>,
        graph: &Graph,
        modules: &[Module],
        origin: &str,
    ) -> Result<(), Error> {
        let tried = match objection {
            Some(reason) => Err(Refusal::Unsupported(reason)),
            None => self.try_rvm(graph, modules),
        };
        match tried {
            Ok(()) => {}
            Err(Refusal::Mistake(message)) => {
                return Err(Error::Compile { origin: origin.to_owned(), message });
            }
            Err(Refusal::Unsupported(reason)) => {
                tracing::info!(%reason, "policies are served by the interpreter");
                self.serving = self.serving_texts(graph, modules, false);
                self.engine = Engine::Interpreter { reason };
            }
        }
        Ok(())
    }

    fn try_rvm(&mut self, graph: &Graph, modules: &[Module]) -> Result<(), Refusal> {
        if self.limits.strict_builtin_errors {
            let reason = "`policy.evaluation.strict_builtin_errors` is on";
            return Err(Refusal::Unsupported(reason.to_owned()));
        }
        self.serving = self.serving_texts(graph, modules, true);
        self.rvm()?;
        let strings =
            graph.definitions().iter().flat_map(|definition| definition.strings.iter().cloned());
        // A machine that is busy at start must not look like a disagreement.
        let limits = self.limits;
        self.limits.timeout = limits.timeout.max(PROBE_TIMEOUT);
        let agreed = probe::agree(self, &probe::words(strings, &self.document));
        self.limits = limits;
        agreed.map_err(Refusal::Unsupported)
    }

    fn serving_texts(&self, graph: &Graph, modules: &[Module], guarded: bool) -> Vec<Text> {
        let mut texts = texts(graph, modules, |module| {
            let mut edits: Vec<Edit> = self.split.edits(module).collect();
            if guarded {
                edits.extend(
                    graph
                        .in_module(module)
                        .flat_map(|definition| definition.guards.iter().cloned()),
                );
            }
            edits
        });
        texts.push(Text {
            name: format!("{PACKAGE}.rego"),
            v0: false,
            text: self.split.module().into(),
        });
        texts
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySet")
            .field("revision", &self.revision)
            .field("engine", &self.engine)
            .finish()
    }
}

/// Parses the files, and the embedded baseline unless one of them is a baseline.
pub(crate) fn parse_all(files: &[SourceFile]) -> Result<Vec<Module>, Error> {
    let mut modules = files.iter().map(syntax::parse).collect::<Result<Vec<_>, _>>()?;
    if !modules.iter().any(|module| module.package == ["mcp", "baseline"]) {
        modules.push(syntax::parse(&SourceFile {
            name: "baseline.rego".to_owned(),
            text: include_str!("baseline.rego").into(),
        })?);
    }
    Ok(modules)
}

/// Refuses a package that is the gateway's own, and warns of one that cannot decide.
fn check_package(module: &Module) -> Result<(), Error> {
    let file = &module.file.name;
    match module.package.first().map(String::as_str) {
        Some(PACKAGE) => Err(Error::Misplaced {
            file: file.clone(),
            message: "package `mcp_proxy_verdict` is taken by the gateway; choose another",
        }),
        Some("mcp") => Ok(()),
        _ => {
            let package = module.package.join(".");
            tracing::warn!(%file, %package, "policy file is outside package `mcp`; only rules in it decide");
            Ok(())
        }
    }
}

/// Refuses data where a rule is: regorus would let one hide the other.
fn check_document(
    graph: &Graph,
    modules: &[Module],
    sources: &Sources,
    document: &Value,
) -> Result<(), Error> {
    for definition in graph.definitions() {
        if is_taken(document, &definition.path) {
            let file = modules.get(definition.module).map(|module| &module.file.name);
            return Err(Error::Conflict {
                path: definition.path.join("."),
                first: sources.definer_of(&definition.path).unwrap_or(sources.origin()).to_owned(),
                second: format!("{}:{}", file.map_or("", String::as_str), definition.span.line),
            });
        }
    }
    Ok(())
}

/// Whether a rule of the policies (not the baseline, which says the same of a request and its answer) reads what only
/// an answer has.
fn examines_answers(graph: &Graph, declared: Declared) -> bool {
    declared
        .entries()
        .into_iter()
        .filter(|[_, package, _]| *package == "policy")
        .any(|entry| graph.footprint(&graph.named(&entry)).reads.intersects(Fields::of_answers()))
}

/// The texts for an engine: imported packages spelled out, and what `more` adds for a module.
pub(crate) fn texts(
    graph: &Graph,
    modules: &[Module],
    more: impl Fn(usize) -> Vec<Edit>,
) -> Vec<Text> {
    let text = |(index, module): (usize, &Module)| {
        let mut edits = more(index);
        edits.extend(
            graph.in_module(index).flat_map(|definition| definition.aliases.iter().cloned()),
        );
        Text { name: module.file.name.clone(), v0: module.v0, text: edited(module, edits).into() }
    };
    modules.iter().enumerate().map(text).collect()
}

/// SHA-256 over names, texts and data, each with its length.
fn revision(modules: &[Module], document: &Value) -> Revision {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    };
    let texts: BTreeSet<(&str, &str)> =
        modules.iter().map(|module| (module.file.name.as_str(), &*module.file.text)).collect();
    for (name, text) in texts {
        add(name);
        add(text);
    }
    add(&document.to_string());
    let digest = hash.finalize();
    Revision(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
}

#[cfg(test)]
mod tests;
