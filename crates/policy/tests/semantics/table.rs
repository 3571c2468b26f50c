//! Reads the cases and runs them.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use policy::{Config, Engine, EvalOutcome, Sources};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What is shown.
    says: String,
    /// Rules of package `mcp.policy`.
    rego: String,
    /// The input; a call of the tool `rm` when there is none.
    input: Option<Value>,
    #[serde(default = "empty")]
    data: Value,
    gives: Gives,
    /// What OPA does otherwise, and why that is not followed.
    opa: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Gives {
    Allow,
    Deny,
    Error,
    Refused,
}

fn empty() -> Value {
    json!({})
}

fn call() -> Value {
    json!({
        "stage": "request",
        "method": "tools/call",
        "tool": "rm",
        "arguments": {"path": "/etc/passwd", "count": 3, "ok": true, "no": false, "nil": null,
            "list": [1, 2, 3], "names": ["ann", "bob"], "deep": {"a": {"b": [10, 20]}}},
        "agent": {"id": "alice", "roles": ["admin", "dev"], "capabilities": ["read:*"]},
    })
}

fn cases() -> Vec<(String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/semantics/cases");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let read: Vec<Case> = serde_yaml::from_str(&fs::read_to_string(&file).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        cases.extend(read.into_iter().map(|case| (name.clone(), case)));
    }
    cases
}

fn run(case: &Case) -> Result<EvalOutcome, policy::Error> {
    let rego = format!("package mcp.policy\n\n{}", case.rego);
    let data = case.data.to_string();
    let sources = Sources::from_texts(&[("case.rego", &rego), ("data.json", &data)])?;
    let input = case.input.clone().unwrap_or_else(call);
    policy::eval(&sources, &Config::default(), &input.to_string())
}

/// A case, and what became of it.
struct Outcome {
    file: String,
    case: Case,
    gives: Gives,
    /// Whether the virtual machine serves it.
    machine: bool,
    agrees: bool,
    /// The error, and who served.
    why: String,
}

fn outcome((file, case): (String, Case)) -> Outcome {
    match run(&case) {
        Err(error) => Outcome {
            file,
            case,
            gives: Gives::Refused,
            machine: false,
            agrees: true,
            why: error.to_string(),
        },
        Ok(EvalOutcome { decision, engine, agrees, .. }) => {
            let gives = match (&decision.error, decision.verdict) {
                (Some(_), _) => Gives::Error,
                (None, domain::Verdict::Allow) => Gives::Allow,
                (None, domain::Verdict::Deny) => Gives::Deny,
            };
            let why = format!("{:?} by {engine}", decision.error);
            Outcome { file, case, gives, machine: engine == Engine::Rvm, agrees, why }
        }
    }
}

/// Every case is loaded once for all tests.
fn outcomes() -> &'static [Outcome] {
    static OUTCOMES: LazyLock<Vec<Outcome>> =
        LazyLock::new(|| cases().into_iter().map(outcome).collect());
    &OUTCOMES
}

#[test]
fn both_engines_answer_as_the_table_says() {
    let mut wrong = Vec::new();
    for Outcome { file, case, gives, agrees, why, .. } in outcomes() {
        if *gives != case.gives || !agrees {
            let Case { says, gives: expected, rego, .. } = case;
            wrong.push(format!(
                "{file}: {says}: {expected:?}, not {gives:?} ({why}; the engines agree: {agrees})\n{rego}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// Without this, the table could grow while the virtual machine is asked about ever less.
#[test]
fn the_table_asks_both_engines_about_both_dialects() {
    let outcomes = outcomes();
    let machine = outcomes.iter().filter(|it| it.machine).count();
    assert!(outcomes.len() >= 200, "{} cases", outcomes.len());
    assert!(machine >= 100, "{machine} of {} on the virtual machine", outcomes.len());
    let old = outcomes.iter().filter(|it| it.file == "v0").count();
    assert!(old >= 14, "{old} cases in Rego v0");
    // Each deviation says what OPA does.
    let deviations: Vec<_> = outcomes.iter().filter_map(|it| it.case.opa.as_deref()).collect();
    assert!(deviations.iter().all(|text| text.len() > 20), "{deviations:?}");
}
