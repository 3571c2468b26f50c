//! The shipped policies keep the house rules: each folder is complete, all pass the strict check and run on the fast
//! engine, and the tables of the documentation say what the files say.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests and their fixtures")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use policy::{Config, Engine, PolicySet, Sources, TestOptions, run_tests};

const BEGIN: &str = "<!-- tags: written by `MCP_PROXY_UPDATE=1 cargo test -p policy fresh` -->\n";
const END: &str = "<!-- /tags -->\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The folders with a policy, by name.
fn folders() -> Vec<String> {
    let entries = fs::read_dir(root().join("policies")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "schema" && name != "json")
        .collect();
    names.sort();
    names
}

fn read(folder: &str, file: &str) -> String {
    let path = root().join("policies").join(folder).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rules of one folder, with the tag of each.
fn rules(folder: &str) -> BTreeSet<(String, String)> {
    let text = read(folder, &format!("{folder}.rego"));
    let member = |head: &str, name: &str| -> String {
        let key = format!("\"{name}\": \"");
        let value = head.split_once(&key).and_then(|(_, rest)| rest.split_once('"'));
        value
            .unwrap_or_else(|| panic!("{folder}: a violation without `{name}`:\n{head}"))
            .0
            .to_owned()
    };
    text.split("violations contains {")
        .skip(1)
        .map(|rest| {
            let head = rest.split_once("\n} if").unwrap().0;
            for name in ["severity", "remedy"] {
                member(head, name);
            }
            (member(head, "rule"), member(head, "owasp"))
        })
        .collect()
}

#[test]
fn every_folder_is_complete() {
    let names = folders();
    assert!(names.len() >= 15, "{names:?}");
    for folder in &names {
        read(folder, "data.yaml");
        assert!(read(folder, &format!("{folder}_test.rego")).contains("\ntest_"), "{folder}");
        let readme = read(folder, "README.md");
        assert!(readme.lines().count() <= 60, "{folder}/README.md is longer than 60 lines");
        for (rule, tag) in rules(folder) {
            let row = readme.lines().find(|line| line.starts_with(&format!("| `{rule}` |")));
            assert!(
                row.is_some_and(|row| row.ends_with(&format!("| {tag} |"))),
                "{folder}/README.md: {rule} {tag}"
            );
        }
    }
}

#[test]
fn the_table_of_tags_is_fresh() {
    let mut tags: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for folder in folders() {
        for (rule, tag) in rules(&folder) {
            tags.entry(tag)
                .or_default()
                .insert(format!("[`{rule}`](../policies/{folder}/README.md)"));
        }
    }
    let mut table = String::from("| tag | rules |\n|---|---|\n");
    for (tag, rules) in tags {
        let rules: Vec<String> = rules.into_iter().collect();
        table.push_str(&format!("| {tag} | {} |\n", rules.join(", ")));
    }
    let path = root().join("docs/policies.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("docs/policies.md has no table of tags");
    let (shown, after) = rest.split_once(END).expect("the table of tags does not end");
    if std::env::var_os("MCP_PROXY_UPDATE").is_some_and(|it| it == "1") {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert!(
            shown == table,
            "docs/policies.md: run `MCP_PROXY_UPDATE=1 cargo test -p policy fresh` and commit it"
        );
    }
    for folder in folders() {
        assert!(
            text.contains(&format!("(../policies/{folder}/README.md)")),
            "docs/policies.md leaves out {folder}"
        );
    }
}

#[test]
fn they_pass_the_strict_check() {
    let sources = Sources::from_dir(&root().join("policies")).unwrap();
    let report = rego::check(&sources, true);
    let found: Vec<String> = report.diagnostics.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn their_tests_pass_and_reach_every_line() {
    let options = TestOptions { coverage: true, ..TestOptions::default() };
    let report = run_tests(&root().join("policies"), options).unwrap();
    assert!(report.failed() == 0 && report.passed() > 100, "{:?}", report.cases);
    for file in report.coverage.unwrap().files {
        assert!(
            file.not_covered.is_empty(),
            "{}: no test reaches {:?}",
            file.file,
            file.not_covered
        );
    }
}

/// What switches on every policy that is off, as a `policy.data_file` of the policies in the program.
const EVERYTHING: &str = r#"
filesystem: { enabled: true, roots: [/srv/files], working_directory: /srv/files }
read_only: { enabled: true, trust_annotations: true, tools: { read_file: true } }
egress: { enabled: true, hosts: { api.example.com: true, "*.example.org": true } }
toxic_flow:
  enabled: true
  legs: { private_data: [lookup_customer, "file:*"], untrusted_content: [fetch], egress: [fetch, send_mail] }
tool_approval: { enabled: true, tools: { default: { echo: "1234" } } }
rate_windows:
  enabled: true
  agents: { default: { limit: 600, per: 1m } }
  session: { limit: 300, per: 1m }
  tools: { send_mail: { limit: 5, per: 1h } }
question_limits: { enabled: true, methods: { sampling/createMessage: 10 } }
business_hours:
  { enabled: true, tools: ["deploy_*"], time_zone: Europe/Berlin, from: "09:00", to: "17:00", days: [Monday, Friday] }
identity_required_tools: [approve]
allowed_dids: ["did:key:good"]
pii_tools: [lookup_customer]
blocked_models_for_pii: ["small-*"]
allowed_models_for_pii: ["large-*"]
trusted_publishers: [example.com]
resource_access: { blocked: ["*secret*"], allowed: ["file:///srv/*"] }
prompt_access: { blocked: ["admin_*"], allowed: ["review_*"] }
"#;

#[test]
fn they_run_on_the_fast_engine() {
    let shipped = Sources::embedded().unwrap();
    let data = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    fs::write(data.path(), EVERYTHING).unwrap();
    let switched_on = shipped.clone().with_data_file(data.path()).unwrap();
    for sources in [shipped, switched_on] {
        let set = PolicySet::load(&sources, &Config::default()).unwrap();
        assert_eq!(*set.engine(), Engine::Rvm);
    }
}

/// What is off costs nothing: no rule that waits for data is evaluated, and none of its fields is in the cache key.
#[test]
fn what_is_off_reads_nothing() {
    let set = PolicySet::load(&Sources::embedded().unwrap(), &Config::default()).unwrap();
    let reads = set.reads().paths();
    for path in
        ["input.arguments", "input.stage", "input.context.timestamp", "input.session.taints"]
    {
        assert!(!reads.iter().any(|read| read == path), "`{path}` is read: {reads:?}");
    }
}
