//! The two evaluators behind one face: the interpreter of regorus, which is the golden one, and its virtual machine,
//! which is several times faster. Each runner belongs to one thread and owns its copy of policies and data: shared
//! ones would make threads wait for each other's reference counts.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use regorus::languages::rego::compiler::{Compiler, CompilerError, SpannedCompilerError};
use regorus::rvm::RegoVM;
use regorus::rvm::program::Program;
use regorus::utils::limits::{ExecutionTimerConfig, PolicyLengthConfig};
use regorus::{Engine, Value};

use crate::reads::{Reads, of_program};
use crate::role::Declared;
use crate::split::{Entry, Split};
use crate::verdict::{Key, Parts};

/// Steps between two looks at the clock.
const CHECK_INTERVAL: NonZeroU32 = match NonZeroU32::new(64) {
    Some(steps) => steps,
    None => NonZeroU32::MIN,
};

/// What the error of an evaluation that was cut off says.
pub(crate) const TIME_LIMIT: &str = "exceeded time limit";

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
    /// Of the virtual machine.
    pub(crate) max_instructions: usize,
    /// Bytes of the input.
    pub(crate) max_input: usize,
    pub(crate) strict_builtin_errors: bool,
}

/// Which group of rules to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Stable,
    Volatile,
}

/// Evaluates the groups of a set.
pub(crate) struct Runner {
    evaluator: Evaluator,
    stable: Option<Entry>,
    volatile: Option<Entry>,
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
        program: Arc<Program>,
        stable: usize,
        volatile: usize,
    },
    #[cfg(test)]
    Panics,
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

/// The program of the virtual machine with these entries.
pub(crate) fn program(
    texts: &[Text],
    document: &serde_json::Value,
    limits: Limits,
    entries: &[&str],
) -> Result<Arc<Program>, Refusal> {
    let mut engine = interpreter(texts, document, limits).map_err(Refusal::Unsupported)?;
    let Some(first) = entries.first() else {
        return Err(Refusal::Unsupported("there is nothing to evaluate".to_owned()));
    };
    let policy = engine
        .compile_with_entrypoint(&(*first).into())
        .map_err(|error| Refusal::Unsupported(one_line(&error.to_string())))?;
    Ok(Compiler::compile_from_policy(&policy, entries)?)
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
        let (stable, volatile) = (split.stable.entry("stable"), split.volatile.entry("volatile"));
        let entries: Vec<&str> =
            stable.iter().chain(&volatile).map(|entry| entry.path.as_str()).collect();
        let program = program(texts, document, limits, &entries)?;
        let index = |entry: &Option<Entry>| {
            let path = entry.as_ref().map(|entry| entry.path.as_str());
            program
                .entry_points
                .keys()
                .position(|known| Some(known.as_str()) == path)
                .unwrap_or(usize::MAX)
        };
        let (stable, volatile) = (index(&stable), index(&volatile));
        let mut vm = RegoVM::new();
        vm.load_program(Arc::clone(&program));
        vm.set_max_instructions(limits.max_instructions);
        vm.set_strict_builtin_errors(limits.strict_builtin_errors);
        vm.set_execution_timer_config(Some(timer(limits)));
        vm.set_data(Value::from(document.clone()))
            .map_err(|error| Refusal::Unsupported(error.to_string()))?;
        Ok(Self::new(Evaluator::Rvm { vm: Box::new(vm), program, stable, volatile }, split))
    }

    /// The same after one evaluation: an interpreter prepares itself in the first one.
    pub(crate) fn tried(mut self) -> Self {
        for part in [Part::Stable, Part::Volatile] {
            // What it says of an empty message is nobody's decision.
            drop(self.run(part, Value::new_object()));
        }
        self
    }

    fn new(evaluator: Evaluator, split: &Split) -> Self {
        Self {
            evaluator,
            stable: split.stable.entry("stable"),
            volatile: split.volatile.entry("volatile"),
        }
    }

    /// What the compiled program reads; `None` of the interpreter, which has none.
    pub(crate) fn reads(&self) -> Option<Reads> {
        let Evaluator::Rvm { program, .. } = &self.evaluator else { return None };
        let of = |entry: &Option<Entry>| {
            entry.as_ref().map(|entry| of_program(program, &entry.path)).unwrap_or_default()
        };
        Some(Reads { stable: of(&self.stable), volatile: of(&self.volatile), impure: false })
    }

    /// A runner whose evaluations panic.
    #[cfg(test)]
    pub(crate) fn panicking(split: &Split) -> Self {
        Self::new(Evaluator::Panics, split)
    }

    /// Evaluates one group. The error is text for the operator.
    pub(crate) fn run(&mut self, part: Part, input: Value) -> Result<Parts, String> {
        let entry = if part == Part::Stable { &self.stable } else { &self.volatile };
        let Some(entry) = entry else { return Ok(Parts::default()) };
        let value = match &mut self.evaluator {
            #[cfg(test)]
            Evaluator::Panics => panic!("injected"),
            Evaluator::Interpreter(engine) => {
                engine.set_input(input);
                let value = engine.eval_rule(entry.path.clone());
                log_prints(engine);
                value.map_err(|error| one_line(&error.to_string()))?
            }
            Evaluator::Rvm { vm, stable, volatile, .. } => {
                vm.set_input(input);
                let index = if part == Part::Stable { *stable } else { *volatile };
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
    for role in declared.roles() {
        let value = engine.eval_rule(role.name().to_owned());
        log_prints(engine);
        parts.set(Key::plain(role), value.map_err(|error| one_line(&error.to_string()))?);
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
