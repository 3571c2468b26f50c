//! What a set reads of `input`: from the syntax tree, and once more from the compiled program.
//!
//! The two analyses share nothing. What the program reads must be within what the tree says; where it is not, one of
//! them is wrong, and the whole input is taken instead.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "instructions are looked at in groups, and what no group knows may read everything"
)]

use std::collections::{BTreeMap, BTreeSet};

use rego::ReadSet;
use regorus::Value;
use regorus::rvm::Instruction;
use regorus::rvm::instructions::LiteralOrRegister;
use regorus::rvm::program::Program;

/// The paths of `input` that a set reads, by what becomes of the outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Read by the rules whose outcome the decision cache keeps.
    pub stable: ReadSet,
    /// Read by the rules that are evaluated for each message: those that read counters, time or chance.
    pub volatile: ReadSet,
    /// Whether a rule asks the clock or chance (`time.now_ns`, `rand.intn`), so that the same input may be decided
    /// otherwise another time.
    pub impure: bool,
}

impl Reads {
    /// Everything that is read.
    #[must_use]
    pub fn all(&self) -> ReadSet {
        let mut all = self.stable.clone();
        all.join(&self.volatile);
        all
    }

    /// The paths as a policy would write them (`input.arguments.path`), sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.all().paths()
    }

    /// Whether something at, above or below `path` (without `input`) is read.
    #[must_use]
    pub fn intersects<T: AsRef<str>>(&self, path: &[T]) -> bool {
        self.stable.intersects(path) || self.volatile.intersects(path)
    }
}

/// What the entry point `entry` of a program reads. An instruction that is not known may read everything.
pub(crate) fn of_program(program: &Program, entry: &str) -> ReadSet {
    let Some(start) = program.entry_points.get(entry) else { return ReadSet::everything() };
    let mut reader = Reader {
        program,
        registers: BTreeMap::new(),
        found: Vec::new(),
        rules: BTreeSet::new(),
        open: vec![*start],
    };
    let mut scanned = BTreeSet::new();
    while let Some(start) = reader.open.pop() {
        if scanned.insert(start) && reader.block(start).is_none() {
            return ReadSet::everything();
        }
    }
    let mut reads = ReadSet::default();
    for found in reader.found.iter().filter(|found| found.used || !found.led_on) {
        reads.add(&found.path);
    }
    reads
}

/// What a register holds, as far as it matters.
#[derive(Clone)]
enum Held {
    /// A part of `input`, by its place in the list of those found.
    Input(usize),
    /// A text that is written down.
    Text(String),
}

/// A part of `input` that an instruction fetches.
struct Found {
    path: Vec<String>,
    /// Whether something else than a step further down was done with it.
    used: bool,
    /// Whether it was only fetched to go further down.
    led_on: bool,
}

struct Reader<'p> {
    program: &'p Program,
    registers: BTreeMap<u8, Held>,
    found: Vec<Found>,
    rules: BTreeSet<u16>,
    /// Where code begins that was not looked at yet.
    open: Vec<usize>,
}

impl Reader<'_> {
    /// Reads straight on to the end of the block; `None` at an instruction that is not known. Registers are given
    /// their value before they are used, in the order of the text, loops included.
    fn block(&mut self, start: usize) -> Option<()> {
        self.registers.clear();
        for instruction in self.program.instructions.get(start..)? {
            match *instruction {
                Instruction::RuleReturn {}
                | Instruction::Halt {}
                | Instruction::DestructuringSuccess {} => {
                    return Some(());
                }
                Instruction::Return { value } => {
                    self.uses(&[value]);
                    return Some(());
                }
                other => self
                    .load(other)
                    .or_else(|| self.operate(other))
                    .or_else(|| self.collect(other))?,
            }
        }
        None
    }

    /// Instructions that fetch a value.
    fn load(&mut self, instruction: Instruction) -> Option<()> {
        let data = &self.program.instruction_data;
        match instruction {
            Instruction::Load { dest, literal_idx } => match self.text(literal_idx) {
                Some(text) => {
                    self.registers.insert(dest, Held::Text(text));
                }
                None => self.sets(&[dest]),
            },
            Instruction::LoadTrue { dest }
            | Instruction::LoadFalse { dest }
            | Instruction::LoadNull { dest }
            | Instruction::LoadBool { dest, .. }
            | Instruction::LoadData { dest } => self.sets(&[dest]),
            Instruction::LoadInput { dest } => self.fetch(dest, Vec::new(), true),
            Instruction::Index { dest, container, key } => {
                let step = self.step(&LiteralOrRegister::Register(key));
                self.uses(&[key]);
                self.index(dest, container, vec![step]);
            }
            Instruction::IndexLiteral { dest, container, literal_idx } => {
                let step = self.text(literal_idx);
                self.index(dest, container, vec![step]);
            }
            Instruction::ChainedIndex { params_index } => {
                let params = data.chained_index_params.get(usize::from(params_index))?;
                let steps = params.path_components.iter().map(|part| self.step(part)).collect();
                self.uses(&params.register_numbers());
                self.index(params.dest, params.root, steps);
            }
            Instruction::CallRule { dest, rule_index } => {
                self.calls(rule_index);
                self.sets(&[dest]);
            }
            Instruction::VirtualDataDocumentLookup { params_index } => {
                let params =
                    data.virtual_data_document_lookup_params.get(usize::from(params_index))?;
                self.uses(&params.register_numbers());
                self.looks_up(&params.path_components);
                self.sets(&[params.dest]);
            }
            Instruction::FunctionCall { params_index } => {
                let params = data.function_call_params.get(usize::from(params_index))?;
                self.uses(params.arg_registers());
                self.calls(params.func_rule_index);
                self.sets(&[params.dest]);
            }
            Instruction::BuiltinCall { params_index } => {
                let params = data.builtin_call_params.get(usize::from(params_index))?;
                self.uses(params.arg_registers());
                self.sets(&[params.dest]);
            }
            _ => return None,
        }
        Some(())
    }

    /// Instructions that work on values in registers.
    fn operate(&mut self, instruction: Instruction) -> Option<()> {
        match instruction {
            Instruction::Add { dest, left, right }
            | Instruction::Sub { dest, left, right }
            | Instruction::Mul { dest, left, right }
            | Instruction::Div { dest, left, right }
            | Instruction::Mod { dest, left, right }
            | Instruction::Eq { dest, left, right }
            | Instruction::Ne { dest, left, right }
            | Instruction::Lt { dest, left, right }
            | Instruction::Le { dest, left, right }
            | Instruction::Gt { dest, left, right }
            | Instruction::Ge { dest, left, right }
            | Instruction::And { dest, left, right }
            | Instruction::Or { dest, left, right }
            | Instruction::Contains { dest, collection: left, value: right } => {
                self.uses(&[left, right]);
                self.sets(&[dest]);
            }
            Instruction::Move { dest, src: operand }
            | Instruction::Not { dest, operand }
            | Instruction::Count { dest, collection: operand } => {
                self.uses(&[operand]);
                self.sets(&[dest]);
            }
            Instruction::AssertEq { left, right } => self.uses(&[left, right]),
            Instruction::Guard { register, .. } => self.uses(&[register]),
            Instruction::RuleInit { result_reg, .. } => self.sets(&[result_reg]),
            _ => return None,
        }
        Some(())
    }

    /// Instructions that build or walk collections.
    fn collect(&mut self, instruction: Instruction) -> Option<()> {
        let data = &self.program.instruction_data;
        match instruction {
            Instruction::ArrayNew { dest } | Instruction::SetNew { dest } => self.sets(&[dest]),
            Instruction::ArrayPush { value, .. } | Instruction::SetAdd { value, .. } => {
                self.uses(&[value])
            }
            Instruction::ObjectSet { key, value, .. } => self.uses(&[key, value]),
            Instruction::ObjectCreate { params_index } => {
                let params = data.object_create_params.get(usize::from(params_index))?;
                params.literal_key_fields.iter().for_each(|(_, value)| self.uses(&[*value]));
                params.fields.iter().for_each(|(key, value)| self.uses(&[*key, *value]));
                self.sets(&[params.dest]);
            }
            Instruction::ArrayCreate { params_index } => {
                let params = data.array_create_params.get(usize::from(params_index))?;
                self.uses(&params.elements);
                self.sets(&[params.dest]);
            }
            Instruction::SetCreate { params_index } => {
                let params = data.set_create_params.get(usize::from(params_index))?;
                self.uses(&params.elements);
                self.sets(&[params.dest]);
            }
            Instruction::LoopStart { params_index } => {
                let params = data.loop_params.get(usize::from(params_index))?;
                self.uses(&[params.collection]);
                self.sets(&[params.key_reg, params.value_reg, params.result_reg]);
            }
            Instruction::ComprehensionBegin { params_index } => {
                let params = data.comprehension_begin_params.get(usize::from(params_index))?;
                self.uses(&[params.collection_reg]);
                self.sets(&[params.key_reg, params.value_reg, params.result_reg]);
            }
            Instruction::ComprehensionYield { value_reg, key_reg } => {
                self.uses(&[value_reg]);
                self.uses(key_reg.as_slice());
            }
            Instruction::LoopNext { .. } | Instruction::ComprehensionEnd {} => {}
            _ => return None,
        }
        Some(())
    }

    fn text(&self, literal: u16) -> Option<String> {
        match self.program.literals.get(usize::from(literal)) {
            Some(Value::String(text)) => Some(text.to_string()),
            _ => None,
        }
    }

    fn step(&self, part: &LiteralOrRegister) -> Option<String> {
        match part {
            LiteralOrRegister::Literal(literal) => self.text(*literal),
            LiteralOrRegister::Register(register) => match self.registers.get(register) {
                Some(Held::Text(text)) => Some(text.clone()),
                _ => None,
            },
        }
    }

    fn fetch(&mut self, dest: u8, path: Vec<String>, led_on: bool) {
        self.registers.insert(dest, Held::Input(self.found.len()));
        self.found.push(Found { path, used: false, led_on });
    }

    /// Steps down from `container`, as far as the steps are written down.
    fn index(&mut self, dest: u8, container: u8, steps: Vec<Option<String>>) {
        let Some(Held::Input(place)) = self.registers.get(&container).cloned() else {
            self.sets(&[dest]);
            return;
        };
        let Some(from) = self.found.get_mut(place) else { return };
        let known: Vec<String> = steps.iter().map_while(Clone::clone).collect();
        from.used |= known.is_empty();
        from.led_on = true;
        let path: Vec<String> = from.path.iter().cloned().chain(known.iter().cloned()).collect();
        self.fetch(dest, path, false);
        if known.len() < steps.len() {
            self.uses(&[dest]);
            self.sets(&[dest]);
        }
    }

    fn uses(&mut self, registers: &[u8]) {
        for register in registers {
            if let Some(Held::Input(place)) = self.registers.get(register)
                && let Some(found) = self.found.get_mut(*place)
            {
                found.used = true;
            }
        }
    }

    fn sets(&mut self, registers: &[u8]) {
        for register in registers {
            self.registers.remove(register);
        }
    }

    fn calls(&mut self, rule: u16) {
        if !self.rules.insert(rule) {
            return;
        }
        if let Some(info) = self.program.rule_infos.get(usize::from(rule)) {
            let bodies = info.definitions.iter().flatten();
            let patterns = info.destructuring_blocks.iter().flatten();
            self.open
                .extend(bodies.chain(patterns).filter_map(|start| usize::try_from(*start).ok()));
        }
    }

    /// Calls every rule that a reference into `data` may reach.
    fn looks_up(&mut self, parts: &[LiteralOrRegister]) {
        let known: Vec<String> = parts.iter().map_while(|part| self.step(part)).collect();
        let reached: Vec<usize> = (0..)
            .zip(&self.program.rule_infos)
            .filter(|(_, rule)| {
                let name = rule.name.strip_prefix("data.").unwrap_or(&rule.name);
                name.split('.').zip(&known).all(|(own, part)| own == part)
            })
            .map(|(index, _)| index)
            .collect();
        reached
            .into_iter()
            .filter_map(|index| u16::try_from(index).ok())
            .for_each(|rule| self.calls(rule));
    }
}

#[cfg(test)]
mod tests;
