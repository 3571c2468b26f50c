use std::fs;
use std::path::Path;

use ::audit::Capture;
use domain::{AuditEvent, Evidence};

use super::*;
use crate::audit::fixture::{Fixture, allowed, denied};

const POLICY: &str = r#"package mcp.policy

import rego.v1

violations contains {"msg": "writing is not allowed", "rule": "drafts"} if {
	input.tool == "write_file"
	not startswith(input.arguments.path, "drafts/")
}
"#;

/// A folder with one policy, and a log.
struct Case {
    folder: tempfile::TempDir,
    log: Fixture,
}

impl Case {
    fn new(policy: &str, arguments: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("drafts.rego"), policy).unwrap();
        let capture = Capture { request_arguments: arguments, ..Capture::default() };
        Self { folder, log: Fixture::keeping(capture) }
    }

    fn policies(&self) -> &Path {
        self.folder.path()
    }

    fn revision(&self) -> String {
        let sources = crate::policy::sources(&[self.policies().to_owned()]).unwrap();
        judge(sources, &Config::default()).unwrap().revision().to_owned()
    }

    fn record(&self, event: AuditEvent) {
        crate::runtime().unwrap().block_on(self.log.record([event]));
    }

    fn args(&self, id: &str) -> ExplainArgs {
        ExplainArgs {
            id: Some(id.to_owned()),
            reads: false,
            db: Some(self.log.path.clone()),
            data: vec![self.policies().to_owned()],
            config: None,
            format: Format::Pretty,
        }
    }

    fn explained(&self) -> Explained {
        explain(&self.args("dec10001"), "dec10001", &Settings::default()).unwrap()
    }

    /// What people see, with the folder of this test as `.`.
    fn shown(&self) -> String {
        let text = text::decision(&self.explained()).unwrap();
        let text = text.replace(&*self.policies().to_string_lossy(), ".");
        let revision = self.revision();
        text.replace(text::short(&revision), "REVISION")
    }
}

/// A write to `path` that the policy of these tests denied, in revision `revision`.
fn write_denied(path: &str, revision: &str) -> AuditEvent {
    let reason = domain::Reason {
        rule: Some("drafts".to_owned()),
        at: Some("drafts.rego:5".into()),
        ..domain::Reason::from("writing is not allowed")
    };
    let facts = json!({
        "agent": {"id": "claude"},
        "identity": {"verified": false, "method": "configured", "did": ""},
        "session": {"id": "s-1"},
        "server": {"name": "files", "transport": "stdio"},
    });
    AuditEvent {
        arguments: Some(json!({ "path": path }).to_string().into()),
        policy_revision: Some(revision.into()),
        matched_rule: Some("drafts".into()),
        reasons: [reason].into(),
        evidence: Evidence {
            rules: Some(r#"[{"rule":"drafts","at":"drafts.rego:5"}]"#.into()),
            facts: Some(facts.to_string().into()),
            request_count: Some(1),
            ..Evidence::default()
        },
        ..denied(1)
    }
}

#[test]
fn a_denial_is_shown_with_the_text_of_its_rule() {
    let case = Case::new(POLICY, true);
    case.record(write_denied("notes.txt", &case.revision()));
    insta::assert_snapshot!(case.shown());
    assert_eq!(execute(&case.args("dec10001")).unwrap(), Exit::Done);
    let json = as_json(&case.explained());
    assert_eq!(json["row"]["decision"], "deny");
    assert_eq!(json["input"]["arguments"], json!({"path": "notes.txt"}));
    assert_eq!(json["now"]["class"], "same");
    assert_eq!(json["now"]["decided"], true);
    assert_eq!(json["now"]["definitions"][0]["line"], 5);
    assert_eq!(json["now"]["definitions"][0]["steps"][1]["reached"], true);
}

#[test]
fn other_policies_are_named_as_such() {
    let case = Case::new(POLICY, true);
    case.record(write_denied("drafts/a", "0123456789abcdef"));
    let shown = case.shown();
    assert!(shown.contains("policies   revision 0123456789ab\n"), "{shown}");
    assert!(
        shown.contains("revision REVISION, not the one that decided\n  allow: newly allowed\n")
    );
    // Other policies may decide otherwise.
    assert_eq!(execute(&case.args("dec10001")).unwrap(), Exit::Done);
}

#[test]
fn evidence_that_does_not_reproduce_is_a_no() {
    let case = Case::new(POLICY, true);
    case.record(write_denied("drafts/a", &case.revision()));
    assert_eq!(execute(&case.args("dec10001")).unwrap(), Exit::No);
}

#[test]
fn what_was_not_recorded_is_not_guessed() {
    let case = Case::new(POLICY, false);
    case.record(write_denied("notes.txt", &case.revision()));
    let shown = case.shown();
    assert!(shown.contains("  undecidable: they read `input.arguments`"), "{shown}");
    assert!(shown.contains("not in the log: input.request.id, "), "{shown}");
    let json = as_json(&case.explained());
    assert_eq!(json["now"]["undecidable"], "input.arguments");
    assert_eq!(json["input"].get("arguments"), None);
}

#[test]
fn a_message_without_a_decision_is_explained_by_its_error() {
    let case = Case::new(POLICY, true);
    case.record(AuditEvent { policy_revision: None, error: Some("no JSON".into()), ..allowed(1) });
    let shown = case.shown();
    assert!(shown.contains("error      no JSON\n\nthe message never came to policy\n"), "{shown}");
    assert_eq!(as_json(&case.explained())["input"], Value::Null);
}

#[test]
fn policies_of_the_configuration_may_be_gone() {
    let case = Case::new(POLICY, true);
    case.record(write_denied("notes.txt", "r1"));
    let mut settings = Settings::default();
    settings.policy.policy_dir = Some("/nowhere/policies".into());
    let args = ExplainArgs { data: Vec::new(), ..case.args("dec10001") };
    let explained = explain(&args, "dec10001", &settings).unwrap();
    let shown = text::decision(&explained).unwrap();
    assert!(
        shown
            .contains("the policies that decided are not at hand: cannot read `/nowhere/policies`"),
        "{shown}"
    );
}

#[test]
fn other_policies_are_not_asked_unless_named() {
    let case = Case::new(POLICY, true);
    case.record(write_denied("notes.txt", "r1"));
    let mut settings = Settings::default();
    settings.policy.policy_dir = Some(case.policies().to_owned());
    let args = ExplainArgs { data: Vec::new(), ..case.args("dec10001") };
    let shown = text::decision(&explain(&args, "dec10001", &settings).unwrap()).unwrap();
    let revision = case.revision();
    let expected = format!(
        "not at hand: those of the configuration have revision {}; name",
        text::short(&revision)
    );
    assert!(shown.contains(&expected), "{shown}");
}

#[track_caller]
fn check_no_answer(args: &ExplainArgs, mentions: &str) {
    let error = format!("{:#}", execute(args).unwrap_err());
    assert!(error.contains(mentions), "{error}");
}

#[test]
fn what_cannot_be_found_is_no_answer() {
    let case = Case::new(POLICY, true);
    case.record(write_denied("notes.txt", "r1"));
    case.record(write_denied("notes.txt", "r1"));
    check_no_answer(&case.args("dec2"), "no decision `dec2`");
    check_no_answer(&case.args("dec1"), "several decisions begin with `dec1`");
    let missing = vec![case.folder.path().join("missing")];
    let other = Case::new(POLICY, true);
    other.record(write_denied("notes.txt", "r1"));
    check_no_answer(&ExplainArgs { data: missing, ..other.args("dec1") }, "missing");
    check_no_answer(
        &ExplainArgs { db: Some("missing.db".into()), ..case.args("dec1") },
        "missing.db",
    );
}

#[test]
fn the_read_set_is_printed_by_group() {
    let policy = format!(
        "{POLICY}\ndeny contains \"too many\" if input.session.request_count > data.most\n"
    );
    let case = Case::new(&policy, true);
    fs::write(case.policies().join("data.yaml"), "most: 100\n").unwrap();
    let set = |config: &Config| {
        let sources = crate::policy::sources(&[case.policies().to_owned()]).unwrap();
        PolicySet::load(&sources, config).unwrap()
    };
    let config = Config::default();
    let shown = text::reads(&set(&config)).replace(text::short(&case.revision()), "REVISION");
    insta::assert_snapshot!(shown);
    let json = reads_as_json(&set(&config));
    assert_eq!(json["evaluated_each_time"], json!(["input.session.request_count"]));
    let args = ExplainArgs { id: None, reads: true, db: None, ..case.args("") };
    assert_eq!(execute(&args).unwrap(), Exit::Done);
}
