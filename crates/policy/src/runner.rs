//! The two evaluators behind one face: the interpreter of regorus, which is the golden one, and its virtual machine,
//! which is several times faster. Each runner belongs to one thread and owns its copy of policies and data: shared
//! ones would make threads wait for each other's reference counts.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use regorus::languages::rego::compiler::{Compiler, CompilerError, SpannedCompilerError};
use regorus::rvm::RegoVM;
use regorus::utils::limits::{ExecutionTimerConfig, PolicyLengthConfig};
use regorus::{Engine, Value};

use crate::split::{Declared, Entry, Split, entry_key};
use crate::verdict::Parts;

/// Steps between two looks at the clock.
const CHECK_INTERVAL: NonZeroU32 = match NonZeroU32::new(64) {
    Some(steps) => steps,
    None => NonZeroU32::MIN,
};
/// Far above what the time limit leaves room for; the default of regorus stops a linear policy of 1,600 rules.
const MAX_INSTRUCTIONS: usize = 50_000_000;

/// One text for an engine.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) name: String,
    pub(crate) v0: bool,
    pub(crate) text: Arc<str>,
}

/// Limits of one evaluation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    pub(crate) strict_builtin_errors: bool,
}

/// Which group of rules to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Stable,
    Live,
}

/// Evaluates the groups of a set.
pub(crate) struct Runner {
    evaluator: Evaluator,
    stable: Option<Entry>,
    live: Option<Entry>,
}

/// Why the virtual machine does not take a set.
pub(crate) enum Refusal {
    /// The policies are wrong, for any engine.
    Mistake(String),
    /// The interpreter may still take it.
    Unsupported(String),
}

impl Refusal {
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Mistake(text) | Self::Unsupported(text) => text,
        }
    }
}

impl From<SpannedCompilerError> for Refusal {
    fn from(refused: SpannedCompilerError) -> Self {
        let text = one_line(&refused.to_string());
        if let CompilerError::UndefinedVariable { .. }
        | CompilerError::UnknownFunction { .. }
        | CompilerError::UnknownBuiltinFunction { .. } = refused.error
        {
            Self::Mistake(text)
        } else {
            Self::Unsupported(text)
        }
    }
}

enum Evaluator {
    Interpreter(Box<Engine>),
    /// The virtual machine with the positions of both entries in its program.
    Rvm {
        vm: Box<RegoVM>,
        stable: usize,
        live: usize,
    },
}

/// An interpreter with policies and data; its errors are those of the texts.
pub(crate) fn interpreter(
    texts: &[Text],
    document: &serde_json::Value,
    limits: Limits,
) -> Result<Engine, String> {
    let mut engine = Engine::new();
    engine.set_policy_length_config(PolicyLengthConfig {
        max_col: NonZeroU32::MAX,
        max_file_bytes: NonZeroUsize::MAX,
        max_lines: NonZeroUsize::MAX,
    });
    for text in texts {
        engine.set_rego_v0(text.v0);
        engine
            .add_policy(text.name.clone(), text.text.to_string())
            .map_err(|error| error.to_string())?;
    }
    engine.add_data(Value::from(document.clone())).map_err(|error| error.to_string())?;
    engine.set_strict_builtin_errors(limits.strict_builtin_errors);
    engine.set_execution_timer_config(timer(limits));
    engine.set_gather_prints(true);
    Ok(engine)
}

const fn timer(limits: Limits) -> ExecutionTimerConfig {
    ExecutionTimerConfig { limit: limits.timeout, check_interval: CHECK_INTERVAL }
}

impl Runner {
    pub(crate) fn interpreter(
        texts: &[Text],
        document: &serde_json::Value,
        limits: Limits,
        split: &Split,
    ) -> Result<Self, String> {
        let engine = interpreter(texts, document, limits)?;
        Ok(Self::new(Evaluator::Interpreter(Box::new(engine)), split))
    }

    pub(crate) fn rvm(
        texts: &[Text],
        document: &serde_json::Value,
        limits: Limits,
        split: &Split,
    ) -> Result<Self, Refusal> {
        let mut engine = interpreter(texts, document, limits).map_err(Refusal::Unsupported)?;
        let (stable, live) = (split.stable.entry("stable"), split.live.entry("live"));
        let entries: Vec<&str> =
            stable.iter().chain(&live).map(|entry| entry.path.as_str()).collect();
        let Some(first) = entries.first() else {
            return Err(Refusal::Unsupported("there is nothing to evaluate".to_owned()));
        };
        let policy = engine
            .compile_with_entrypoint(&(*first).into())
            .map_err(|error| Refusal::Unsupported(one_line(&error.to_string())))?;
        let program = Compiler::compile_from_policy(&policy, &entries)?;
        let index = |entry: &Option<Entry>| {
            let path = entry.as_ref().map(|entry| entry.path.as_str());
            program
                .entry_points
                .keys()
                .position(|known| Some(known.as_str()) == path)
                .unwrap_or(usize::MAX)
        };
        let (stable, live) = (index(&stable), index(&live));
        let mut vm = RegoVM::new();
        vm.load_program(program);
        vm.set_max_instructions(MAX_INSTRUCTIONS);
        vm.set_strict_builtin_errors(limits.strict_builtin_errors);
        vm.set_execution_timer_config(Some(timer(limits)));
        vm.set_data(Value::from(document.clone()))
            .map_err(|error| Refusal::Unsupported(error.to_string()))?;
        Ok(Self::new(Evaluator::Rvm { vm: Box::new(vm), stable, live }, split))
    }

    fn new(evaluator: Evaluator, split: &Split) -> Self {
        Self { evaluator, stable: split.stable.entry("stable"), live: split.live.entry("live") }
    }

    /// Evaluates one group. The error is text for the operator.
    pub(crate) fn run(&mut self, part: Part, input: Value) -> Result<Parts, String> {
        let entry = if part == Part::Stable { &self.stable } else { &self.live };
        let Some(entry) = entry else { return Ok(Parts::default()) };
        let value = match &mut self.evaluator {
            Evaluator::Interpreter(engine) => {
                engine.set_input(input);
                let value = engine.eval_rule(entry.path.clone());
                log_prints(engine);
                value.map_err(|error| one_line(&error.to_string()))?
            }
            Evaluator::Rvm { vm, stable, live } => {
                vm.set_input(input);
                let index = if part == Part::Stable { *stable } else { *live };
                vm.execute_entry_point_by_index(index)
                    .map_err(|error| one_line(&error.to_string()))?
            }
        };
        match entry.key {
            Some(key) => Ok(Parts::of(key, value)),
            None => Parts::collected(&value),
        }
    }
}

/// Evaluates the rules of the verdict one by one with the interpreter, on the texts as they were written.
pub(crate) fn golden(
    engine: &mut Engine,
    declared: Declared,
    input: Value,
) -> Result<Parts, String> {
    engine.set_input(input);
    let mut parts = Parts::default();
    for entry in declared.entries() {
        let value = engine.eval_rule(format!("data.{}", entry.join(".")));
        log_prints(engine);
        parts.set(entry_key(entry), value.map_err(|error| one_line(&error.to_string()))?);
    }
    Ok(parts)
}

fn log_prints(engine: &mut Engine) {
    for line in engine.take_prints().unwrap_or_default() {
        tracing::debug!(target: "policy::print", "{line}");
    }
}

/// Place and message of an error of regorus, without the drawing between them.
pub(crate) fn one_line(text: &str) -> String {
    let place = text.lines().find_map(|line| line.strip_prefix("--> "));
    let message = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
    match (place, message) {
        (Some(place), Some(message)) => format!("{place}: {message}"),
        _ => text.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}
