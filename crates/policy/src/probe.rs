//! Inputs tried at load: the serving engine must decide each as the golden one does.
//!
//! They are drawn, always the same way, from the words that the policies and their data mention, since rules turn on
//! those.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use domain::{
    Agent, ContextView, Identity, PolicyInput, ServerView, SessionState, SessionView, Stage,
    ToolView, Transport,
};
use serde_json::{Value, json};

use crate::input::Projection;
use crate::runner::{Part, TIME_LIMIT, golden};
use crate::set::PolicySet;
use crate::verdict::Parts;
use rego::ReadSet;

const TRIES: usize = 96;
const MAX_WORDS: usize = 200;
const METHODS: [&str; 8] = [
    "tools/call",
    "tools/list",
    "initialize",
    "resources/read",
    "prompts/get",
    "ping",
    "sampling/createMessage",
    "x/unknown",
];
const COUNTS: [u64; 8] = [1, 5, 99, 100, 101, 1000, 1001, u64::MAX];

/// The words of a set: strings in its rules, keys and strings in its data.
pub(crate) fn words(strings: impl Iterator<Item = String>, document: &Value) -> Vec<String> {
    let mut texts = BTreeSet::new();
    gather(document, &mut texts);
    let words: BTreeSet<String> = strings.chain(texts.into_iter().map(str::to_owned)).collect();
    let mut words: Vec<String> = words.into_iter().collect();
    // Every so many, so that a large data file does not crowd out what sorts last.
    let step = words.len().div_ceil(MAX_WORDS).max(1);
    words = words.into_iter().step_by(step).collect();
    words.push("read_file".to_owned());
    words
}

/// The keys and strings of a document.
pub(crate) fn gather<'d>(value: &'d Value, texts: &mut BTreeSet<&'d str>) {
    match value {
        Value::String(text) => {
            texts.insert(text);
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, texts)),
        Value::Object(members) => {
            for (key, value) in members {
                texts.insert(key);
                gather(value, texts);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Compares the serving engine of `set` with the golden one.
///
/// # Errors
///
/// The first input on which they differ, or why one of them could not be built.
pub(crate) fn agree(set: &PolicySet, words: &[String]) -> Result<(), String> {
    agree_on(set, words, TRIES)
}

/// [`agree`] on so many inputs.
pub(crate) fn agree_on(set: &PolicySet, words: &[String], tries: usize) -> Result<(), String> {
    let mut oracle = set.golden()?;
    let mut runner = set.runner()?;
    let mut whole = Projection::new(&ReadSet::everything());
    let mut parts = [(Part::Stable, &set.split.stable), (Part::Volatile, &set.split.volatile)]
        .map(|(part, group)| (part, group.is_empty(), Projection::new(group.reads())));
    let mut draw = Draw { state: 0x9E37_79B9_7F4A_7C15, words };
    for _ in 0..tries {
        let sample = Sample::new(&mut draw);
        let input = sample.input();
        let expected = golden(&mut oracle, set.rulebook.declared, whole.value(&input)?);
        if let Err(error) = &expected
            && error.contains(TIME_LIMIT)
        {
            return Err(format!("an evaluation does not end: {error}"));
        }
        let mut actual: Result<Parts, String> = Ok(Parts::default());
        for (part, silent, projection) in &mut parts {
            if !*silent {
                let value = projection.value(&input)?;
                actual = actual.and_then(|mut found| {
                    found.extend(runner.run(*part, value)?);
                    Ok(found)
                });
            }
        }
        let same = match (&expected, &actual) {
            (Ok(expected), Ok(actual)) => {
                let conclude = |parts| set.rulebook.conclude(sample.stage, parts);
                conclude(expected).says_the_same(&conclude(actual))
            }
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if !same {
            return Err(format!(
                "it disagreed with the interpreter on `{}` at stage `{}`",
                sample.method,
                sample.stage.as_str()
            ));
        }
    }
    Ok(())
}

/// A small generator: the same numbers in every process.
struct Draw<'a> {
    state: u64,
    words: &'a [String],
}

impl Draw<'_> {
    fn number(&mut self) -> usize {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as usize
    }

    fn chance(&mut self, of: usize) -> bool {
        self.number().is_multiple_of(of)
    }

    fn of<T: Copy>(&mut self, items: &[T], default: T) -> T {
        let place = self.number() % items.len().max(1);
        items.get(place).copied().unwrap_or(default)
    }

    fn word(&mut self) -> String {
        let place = self.number() % self.words.len().max(1);
        self.words.get(place).cloned().unwrap_or_default()
    }

    fn words(&mut self) -> Vec<Arc<str>> {
        (0..self.number() % 4).map(|_| Arc::from(self.word())).collect()
    }
}

/// An input that owns its parts.
struct Sample {
    stage: Stage,
    method: String,
    tool: Option<String>,
    resource: Option<String>,
    prompt: Option<String>,
    arguments: Option<String>,
    result: Option<String>,
    agent: Arc<Agent>,
    identity: Arc<Identity>,
    count: u64,
    state: Arc<SessionState>,
    view: Option<ToolView>,
    headers: Vec<(Box<str>, Box<str>)>,
    environment: String,
}

impl Sample {
    fn new(draw: &mut Draw<'_>) -> Self {
        let method =
            if draw.chance(4) { draw.word() } else { draw.of(&METHODS, "ping").to_owned() };
        Self {
            stage: draw.of(&Stage::ALL, Stage::Request),
            method,
            tool: (!draw.chance(4)).then(|| draw.word()),
            resource: draw.chance(3).then(|| draw.word()),
            prompt: draw.chance(3).then(|| draw.word()),
            arguments: (!draw.chance(3)).then(|| any_json(draw).to_string()),
            result: draw.chance(2).then(|| any_json(draw).to_string()),
            agent: Arc::new(Agent {
                id: draw.word().into(),
                name: draw.word().into(),
                capabilities: draw.words(),
                model: draw.word().into(),
                publisher: draw.word().into(),
                tags: draw.words(),
                roles: draw.words(),
            }),
            identity: Arc::new(Identity {
                verified: draw.chance(2),
                method: "configured".into(),
                did: draw.word().into(),
            }),
            count: draw.of(&COUNTS, 1),
            state: Arc::new(SessionState {
                cumulative_reads: draw.of(&COUNTS, 1),
                cumulative_writes: draw.of(&COUNTS, 1),
                tools_used: draw
                    .words()
                    .into_iter()
                    .map(|tool| (tool, draw.of(&COUNTS, 1)))
                    .collect(),
                taints: draw.words().into_iter().collect(),
                bytes_out: draw.of(&COUNTS, 1),
            }),
            view: draw.chance(2).then(|| ToolView {
                description: draw.chance(2).then(|| draw.word().into()),
                annotations: draw.chance(2).then(|| any_json(draw).to_string().into()),
                digest: draw.word().into(),
                changed: draw.chance(2),
            }),
            headers: draw
                .words()
                .iter()
                .map(|name| ((**name).into(), draw.word().into()))
                .collect(),
            environment: draw.word(),
        }
    }

    fn input(&self) -> PolicyInput<'_> {
        PolicyInput {
            stage: self.stage,
            method: &self.method,
            id: Some("1"),
            tool: self.tool.as_deref(),
            resource: self.resource.as_deref(),
            prompt: self.prompt.as_deref(),
            arguments: self.arguments.as_deref(),
            params: self.arguments.as_deref(),
            size: 200,
            result: self.result.as_deref(),
            agent: &self.agent,
            identity: &self.identity,
            session: SessionView {
                id: Some("s-1"),
                request_count: Some(self.count),
                started_at: Some(SystemTime::UNIX_EPOCH),
                protocol_version: Some("2025-11-25"),
                client_name: Some("client"),
                client_version: None,
                state: &self.state,
            },
            server: ServerView {
                name: "upstream",
                transport: "http",
                url: None,
                tool: self.view.as_ref(),
            },
            context: ContextView {
                timestamp: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
                source_ip: None,
                environment: &self.environment,
                transport: Transport::Http,
                headers: &self.headers,
            },
        }
    }
}

fn any_json(draw: &mut Draw<'_>) -> Value {
    let (key, word) = (draw.word(), draw.word());
    match draw.number() % 4 {
        0 => json!({ "path": word, key: draw.word() }),
        1 => json!({ "path": draw.number(), key: [word, true, null] }),
        2 => json!({ "path": { key: word } }),
        _ => json!({}),
    }
}
