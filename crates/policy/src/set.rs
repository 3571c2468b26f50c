//! A loaded, checked and compiled set of policies. It never changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use domain::{Revision, RuleMode, Stage};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::config::CacheConfig;
use crate::modes::Modes;
use crate::places::Places;
use crate::reads::Reads;
use crate::role::{Declared, Role};
use crate::runner::{self, Limits, Refusal, Runner, Text};
use crate::split::{Split, edited};
use crate::verdict::Rulebook;
use rego::definition::Edit;
use rego::fields::{Field, Fields};
use rego::graph::Graph;
use rego::syntax::Module;
use rego::{Checked, GENERATED as PACKAGE};

use crate::{Config, Error, Sources, probe};

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
    pub(crate) rulebook: Rulebook,
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
    examines_connect: bool,
    reads_state: bool,
    denials: BTreeMap<String, usize>,
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
        let Checked { modules, graph, binding_heads } = rego::load(sources)?;
        let document = sources.merged_data()?;
        let modes = Modes::new(&config.rules, &graph, &document)?;
        let off = |role: Role| modes.of(role.name()) == Some(RuleMode::Off);
        // The golden engine keeps the rules that this data puts to sleep; what serves does without.
        let revision = revision(sources, &modules, &document, &modes);
        let golden = texts(&graph, &modules, |_| Vec::new());
        let awake = rego::dormant::awake(&modules, &graph, &document)
            .map(|modules| (Graph::new(&modules), modules))
            .filter(|(graph, _)| Declared::new(graph, off).decides());
        let (graph, modules) = awake.unwrap_or((graph, modules));
        let declared = Declared::new(&graph, off);
        if !declared.decides() {
            return Err(Error::Setting {
                key: "rules",
                value: "`off` for every rule that decides".to_owned(),
                hint: "leave one on, or set `policy.enabled: false`",
            });
        }
        let limits = Limits {
            timeout: config.evaluation.timeout.duration(),
            max_instructions: config.evaluation.max_instructions,
            max_input: config.evaluation.max_input,
            strict_builtin_errors: config.evaluation.strict_builtin_errors,
        };
        let mut set = Self {
            revision,
            split: Split::new(&graph, &modules, declared),
            rulebook: Rulebook { declared, modes, places: Places::new(&graph, &modules) },
            cache: config.cache.clone(),
            limits,
            engine: Engine::Rvm,
            golden,
            serving: Vec::new(),
            document,
            examines_answers: examines_answers(&graph, declared),
            examines_connect: examines_connect(&graph),
            reads_state: true,
            denials: denials(&graph, declared),
        };
        set.check_texts(sources.origin())?;
        let objection = rego::fast::objection(&graph).or_else(|| {
            binding_heads.then(|| "a head or an element that binds a variable".to_owned())
        });
        set.choose_engine(objection, &graph, &modules, sources.origin())?;
        set.reads_state = set.reads().all().fields().intersects(Fields::state());
        Ok(set)
    }

    /// How many definitions can deny or ask for something besides, by the name that they give their reasons, else by
    /// their rule.
    #[must_use]
    pub fn denials(&self) -> &BTreeMap<String, usize> {
        &self.denials
    }

    /// Which evaluator serves the set.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What the rules read of `input`.
    #[must_use]
    pub fn reads(&self) -> Reads {
        Reads {
            stable: self.split.stable.reads().clone(),
            volatile: self.split.volatile.reads().clone(),
            impure: self.split.is_impure(),
        }
    }

    /// The name of the set: a hash over all its sources and data, and the modes of its rules.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// Whether a rule reads the counters and taints of a session.
    pub(crate) const fn reads_state(&self) -> bool {
        self.reads_state
    }

    pub(crate) fn examines(&self, stage: Stage) -> bool {
        match stage {
            Stage::Request | Stage::List | Stage::ServerRequest => true,
            Stage::Response => self.examines_answers,
            Stage::Connect => self.examines_connect,
            Stage::Gateway => false,
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
        let entry = self.rulebook.declared.roles().first().map(|role| role.name());
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
                let message = self.mistake().unwrap_or(message);
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

    /// What the compiler of the virtual machine finds wrong with the texts as written, whose places are those of the
    /// files.
    fn mistake(&self) -> Option<String> {
        let roles = self.rulebook.declared.roles();
        let entries: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        match runner::program(&self.golden, &self.document, self.limits, &entries) {
            Err(Refusal::Mistake(message)) => Some(message),
            Ok(_) | Err(Refusal::Unsupported(_)) => None,
        }
    }

    fn try_rvm(&mut self, graph: &Graph, modules: &[Module]) -> Result<(), Refusal> {
        if self.limits.strict_builtin_errors {
            let reason = "`policy.evaluation.strict_builtin_errors` is on";
            return Err(Refusal::Unsupported(reason.to_owned()));
        }
        self.serving = self.serving_texts(graph, modules, true);
        if let Some(reads) = self.rvm()?.reads() {
            self.split.confirm(&reads);
        }
        let strings =
            graph.definitions().iter().flat_map(|definition| definition.strings.iter().cloned());
        // A machine that is busy at start must not look like a disagreement.
        let limits = self.limits;
        self.limits.timeout = limits.timeout.max(PROBE_TIMEOUT);
        // Nor must a bound that only one of the two has.
        self.limits.max_instructions = usize::MAX;
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

fn denials(graph: &Graph, declared: Declared) -> BTreeMap<String, usize> {
    let mut denials = BTreeMap::new();
    let says_no = |role: &Role| Role::DENYING.contains(role) || *role == Role::Obligations;
    let roles = declared.roles().into_iter().filter(says_no);
    for role in roles {
        let found = graph.named(&role.path());
        for definition in found.iter().filter_map(|index| graph.definitions().get(*index)) {
            let named = definition.names.iter().map(String::as_str);
            let unnamed = definition.names.is_empty().then(|| role.name());
            // More definitions of an allow-list allow more, hence it counts once.
            let once = matches!(role, Role::Allow | Role::Decision);
            for name in named.chain(unnamed) {
                let count = denials.entry(name.to_owned()).or_insert(0);
                *count = if once { 1 } else { *count + 1 };
            }
        }
    }
    denials
}

/// Whether a rule of the policies (not the baseline, which says the same of a request and its answer) reads what only
/// an answer has.
fn examines_answers(graph: &Graph, declared: Declared) -> bool {
    let answers = Fields::of_answers();
    let own = declared.roles().into_iter().filter(|role| *role != Role::Baseline);
    own.map(|role| graph.footprint(&graph.named(&role.path())))
        .any(|footprint| footprint.reads.fields().intersects(answers))
}

/// Whether a rule of the policies (not the baseline, which lets every connection be opened) says something of the
/// stage connect: it names the stage and reads it.
fn examines_connect(graph: &Graph) -> bool {
    graph.definitions().iter().any(|definition| {
        definition.path.starts_with(&["mcp".to_owned(), "policy".to_owned()])
            && definition.strings.contains(Stage::Connect.as_str())
            && definition.reads.fields().intersects(Fields::of(Field::Stage))
    })
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

/// SHA-256 over the names of files within their folder, texts, data and the modes of rules, each with its length: the same
/// wherever the folder lies.
fn revision(sources: &Sources, modules: &[Module], document: &Value, modes: &Modes) -> Revision {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    };
    let texts: BTreeSet<(&str, &str)> = modules
        .iter()
        .map(|module| (sources.name_within(&module.file.name), &*module.file.text))
        .collect();
    for (name, text) in texts {
        add(name);
        add(text);
    }
    add(&document.to_string());
    for (rule, mode) in modes.iter() {
        add(rule);
        add(mode.as_str());
    }
    let digest = hash.finalize();
    Revision(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
}

#[cfg(test)]
mod tests;
