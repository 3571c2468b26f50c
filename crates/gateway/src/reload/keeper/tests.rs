use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use approval::{ApprovalStore, Grant};
use bundle::{Bundle, Files, Manifest, Verification};
use domain::{
    Approval, ApprovalRequest, Approvals as _, BoxFuture, ErrorKind, Failure, Outcome, Recorder,
    Slot, Stage, Transport, random_uuid,
};
use observability::Reload;
use policy::LivePolicy;

use crate::fixture::{Kept, STRICT, STRICTER, WEAK, decide};
use crate::reload::weaker::Rehearsed;

/// The count of reloads that came to `result`.
fn reloads(kept: &Kept, result: &str) -> String {
    kept.metric(&format!("mcp_proxy_policy_reloads_total{{result=\"{result}\"}}"))
}

#[test]
fn changed_files_decide_after_two_looks() {
    let mut kept = Kept::new(STRICT);
    kept.look(2);
    assert_eq!(kept.denied(), ["write", "delete"]);
    assert!(kept.rows().is_empty());
    let before = kept.revision();
    kept.write(STRICTER);
    kept.look(2);
    assert_eq!(kept.denied(), ["write", "delete", "read"]);
    let after = kept.revision();
    assert_ne!(before, after);
    assert_eq!(reloads(&kept, "ok"), "1");
    let info = |revision| format!("mcp_proxy_policy_info{{config=\"c1\",revision=\"{revision}\"}}");
    assert_eq!(kept.metric(&info(&after)), "1");
    let [row] = &kept.rows()[..] else { panic!("{:?}", kept.rows()) };
    assert_eq!(&*row.method, "gateway/policy_reload");
    assert_eq!((row.stage, row.transport), (Stage::Gateway, Transport::Internal));
    assert_eq!((row.decision, row.forwarded), (Outcome::Allow, false));
    assert_eq!(row.policy_revision.as_ref(), Some(&after));
    assert_eq!(row.evidence.config_revision.as_deref(), Some("c1"));
    assert!(row.reasons.is_empty());
}

#[test]
fn files_that_say_the_same_are_no_new_set() {
    let mut kept = Kept::new(STRICT);
    assert_eq!(kept.reload(), Ok(Reload::Unchanged));
    kept.write(STRICT);
    kept.look(2);
    assert_eq!(reloads(&kept, "unchanged"), "2");
    assert!(kept.rows().is_empty());
}

/// Row 45 of the security plan: whatever the files are, the set before goes on, and the failure shows everywhere.
#[track_caller]
fn check_failure(spoil: impl FnOnce(&Path), expected: &str) {
    let mut kept = Kept::new(STRICT);
    let before = kept.revision();
    spoil(&kept.policies());
    kept.look(2);
    assert_eq!(kept.revision(), before);
    assert_eq!(kept.denied(), ["write", "delete"]);
    assert_eq!(reloads(&kept, "error"), "1");
    let [row] = &kept.rows()[..] else { panic!("{:?}", kept.rows()) };
    assert_eq!((row.decision, row.error_kind), (Outcome::Error, Some(ErrorKind::PolicyError)));
    assert_eq!(row.policy_revision, Some(before), "the set before decides");
    let error = row.error.as_deref().unwrap();
    assert!(error.contains(expected), "{expected} is not in {error}");
    assert!(
        kept.keeper.standing.json()["last_reload"]["error"].as_str().unwrap().contains(expected)
    );
    kept.look(4);
    assert_eq!(kept.rows().len(), 1, "a failure is told once");
    fs::remove_dir_all(kept.policies()).ok();
    fs::create_dir(kept.policies()).unwrap();
    kept.write(STRICTER);
    kept.look(2);
    assert_eq!(kept.denied(), ["write", "delete", "read"]);
}

#[test]
fn what_cannot_be_loaded_changes_nothing() {
    let put = |bytes: Vec<u8>| move |dir: &Path| fs::write(dir.join("a.rego"), bytes).unwrap();
    let half = STRICT.as_bytes()[..STRICT.len() / 2].to_vec();
    check_failure(put(half), "a.rego:");
    check_failure(put(b"package mcp.policy\ndeny contains msg if { msg := ".to_vec()), "a.rego:");
    check_failure(put(Vec::new()), "a.rego");
    check_failure(put(vec![0, 159, 146, 150]), "a.rego");
    check_failure(put(b"\0\0\0\0".to_vec()), "a.rego");
    let large =
        format!("package mcp.policy\n{}", "deny if input.tool == \"x\"\n".repeat(2 << 20 >> 4));
    check_failure(put(large.into()), "a.rego");
    check_failure(put(b"package mcp.policy\nhelper := 1".to_vec()), "no rule `deny`");
    check_failure(|dir| fs::write(dir.join("data.yaml"), "a: [").unwrap(), "data.yaml");
    check_failure(|dir| fs::remove_file(dir.join("a.rego")).unwrap(), "no rule `deny`");
    check_failure(|dir| fs::remove_dir_all(dir).unwrap(), "policies");
}

#[test]
fn a_folder_that_goes_away_does_not_bring_the_shipped_policies() {
    let mut kept = Kept::new(STRICT);
    let before = kept.revision();
    fs::remove_dir_all(kept.policies()).unwrap();
    assert!(kept.reload().unwrap_err().contains("cannot read"));
    assert_eq!(kept.revision(), before);
    fs::create_dir(kept.policies()).unwrap();
    kept.write(STRICT);
    assert_eq!(kept.reload(), Ok(Reload::Unchanged));
}

/// Row 53: Kubernetes publishes a ConfigMap by the swap of a link.
#[test]
fn a_config_map_is_exchanged_as_a_whole() {
    let publish = |policies: &Path, version: &str, text: &str| {
        let folder = policies.join(version);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.rego"), text).unwrap();
        symlink(version, policies.join("..data_tmp")).unwrap();
        fs::rename(policies.join("..data_tmp"), policies.join("..data")).unwrap();
    };
    let first = |policies: &Path| {
        publish(policies, "..v1", STRICT);
        symlink("..data/a.rego", policies.join("a.rego")).unwrap();
    };
    let mut kept = Kept::with(first, |_| ());
    assert_eq!(kept.denied(), ["write", "delete"]);
    publish(&kept.policies(), "..v2", STRICTER);
    fs::remove_dir_all(kept.policies().join("..v1")).unwrap();
    kept.look(2);
    assert_eq!(kept.denied(), ["write", "delete", "read"]);
    assert_eq!(reloads(&kept, "ok"), "1");
}

#[test]
fn watching_may_be_off_and_signals_are_still_heard() {
    let fill = |policies: &Path| fs::write(policies.join("a.rego"), STRICT).unwrap();
    let mut kept = Kept::with(fill, |config| config.watch_for_changes = false);
    kept.write(STRICTER);
    kept.look(4);
    assert_eq!(kept.denied(), ["write", "delete"]);
    assert_eq!(kept.reload(), Ok(Reload::Served));
    assert_eq!(kept.denied(), ["write", "delete", "read"]);
}

#[test]
fn a_weaker_set_is_told_before_it_is_served() {
    let mut kept = Kept::new(STRICT);
    kept.write(WEAK);
    kept.look(2);
    assert_eq!(kept.denied(), ["write"]);
    let [row] = &kept.rows()[..] else { panic!("{:?}", kept.rows()) };
    assert_eq!(row.decision, Outcome::Allow);
    assert_eq!(row.reasons[0].message, "rule `deletes` is gone");
}

fn holding() -> Kept {
    let fill = |policies: &Path| fs::write(policies.join("a.rego"), STRICT).unwrap();
    let mut kept = Kept::with(fill, |config| config.reload.hold_weaker = true);
    kept.write(WEAK);
    kept.look(2);
    kept
}

/// The revision that waits.
fn held(kept: &Kept) -> String {
    kept.keeper.standing.json()["held"]["revision"].as_str().unwrap().to_owned()
}

#[test]
fn a_weaker_set_waits_for_a_person() {
    let mut kept = holding();
    assert_eq!(kept.denied(), ["write", "delete"]);
    assert_eq!(kept.metric("mcp_proxy_policy_held"), "1");
    assert_eq!(reloads(&kept, "held"), "1");
    let revision = held(&kept);
    let rows = kept.rows();
    assert_eq!((rows.len(), rows[0].decision), (1, Outcome::Deny));
    assert_eq!(rows[0].policy_revision.as_deref(), Some(&*revision));
    assert_eq!(rows[0].reasons[0].message, "rule `deletes` is gone");
    kept.folder.approve("0123456789abcdef").unwrap();
    kept.look(1);
    assert_eq!(kept.denied(), ["write", "delete"], "another revision was approved");
    kept.folder.approve(revision.get(..12).unwrap()).unwrap();
    kept.look(1);
    assert_eq!(kept.denied(), ["write"]);
    assert_eq!(*kept.revision(), *revision);
    assert_eq!(kept.metric("mcp_proxy_policy_held"), "0");
    assert_eq!(kept.rows()[1].decision, Outcome::Allow);
    assert!(kept.keeper.standing.json()["held"].is_null());
}

#[test]
fn what_waits_is_forgotten_when_the_files_change() {
    for (text, result) in [(STRICTER, "ok"), (STRICT, "unchanged"), ("nonsense", "error")] {
        let mut kept = holding();
        let revision = held(&kept);
        kept.write(text);
        kept.look(2);
        assert_eq!(reloads(&kept, result), "1", "{text}");
        assert_eq!(kept.metric("mcp_proxy_policy_held"), "0");
        kept.folder.approve(&revision).unwrap();
        kept.look(2);
        assert!(kept.denied().contains(&"delete"), "{text}");
    }
}

#[test]
fn what_is_not_weaker_waits_for_nobody() {
    let mut kept = holding();
    kept.write(STRICTER);
    assert_eq!(kept.reload(), Ok(Reload::Served));
}

#[test]
fn what_recorded_decisions_show_to_be_weaker_waits_too() {
    let mut kept = holding();
    kept.keeper.rehearse = Box::new(|before, candidate| {
        assert_ne!(before.revision(), candidate.revision());
        let weaker = vec!["tools/call read of agent a".to_owned()];
        Ok(Rehearsed { decided: 10, undecidable: 1, weaker })
    });
    kept.write(STRICTER);
    assert_eq!(kept.reload(), Ok(Reload::Held));
    let json = kept.keeper.standing.json();
    assert_eq!(json["held"]["weaker"][0], "tools/call read of agent a");
    assert!(
        json["held"]["basis"].as_str().unwrap().starts_with("recorded decisions made again: 10")
    );
}

#[test]
fn a_lockdown_follows_the_control_folder() {
    let mut kept = Kept::new(STRICT);
    kept.folder.set_lockdown(true).unwrap();
    kept.look(1);
    assert_eq!(kept.denied(), ["write", "delete", "read"]);
    assert_eq!(kept.metric("mcp_proxy_lockdown"), "1");
    kept.look(1);
    kept.folder.set_lockdown(false).unwrap();
    kept.look(1);
    assert_eq!(kept.denied(), ["write", "delete"]);
    assert_eq!(kept.metric("mcp_proxy_lockdown"), "0");
    let rows: Vec<_> = kept
        .rows()
        .iter()
        .map(|row| (row.method.to_string(), row.decision, row.reasons[0].message.clone()))
        .collect();
    let row = |text: &str| ("gateway/lockdown".to_owned(), Outcome::Allow, text.to_owned());
    assert_eq!(rows, [row("everything but ping is denied"), row("policy decides again")]);
}

#[test]
fn a_lockdown_outlasts_reloads_and_the_loss_of_its_folder() {
    let mut kept = Kept::new(STRICT);
    kept.folder.set_lockdown(true).unwrap();
    kept.look(1);
    kept.write(STRICTER);
    kept.look(2);
    assert!(kept.live.is_locked_down());
    kept.keeper.folder = crate::control::ControlFolder::at(&kept.dir.path().join("gone"));
    kept.look(2);
    assert!(kept.live.is_locked_down());
}

#[test]
fn policy_that_is_off_can_be_locked_down_and_not_reloaded() {
    let mut kept = Kept::with(|_| (), |config| config.enabled = false);
    assert!(kept.denied().is_empty());
    assert!(kept.reload().unwrap_err().starts_with("policy is off"));
    kept.folder.set_lockdown(true).unwrap();
    kept.look(1);
    assert_eq!(kept.denied(), ["write", "delete", "read"]);
}

#[test]
fn probes_name_what_is_in_force() {
    use domain::Probe as _;
    let mut kept = holding();
    let note = |kept: &Kept| kept.keeper.standing.note().unwrap();
    let (revision, held) = (kept.revision(), held(&kept));
    assert_eq!(
        note(&kept),
        format!(
            "revision {revision}, configuration c1; revision {held} is weaker and waits for approval"
        )
    );
    kept.folder.set_lockdown(true).unwrap();
    kept.look(1);
    assert!(note(&kept).contains("; locked down: everything but ping is denied"));
    assert_eq!(kept.keeper.standing.health(), domain::Health::Up);
}

/// Row 52: every decision is that of the one revision that it names.
#[test]
fn a_storm_of_reloads_mixes_no_decisions() {
    const RELOADS: usize = 20;
    let mut kept = Kept::new(STRICT);
    let strict = kept.revision();
    let stop = Arc::new(AtomicBool::new(false));
    let ask = |live: Arc<LivePolicy>, stop: Arc<AtomicBool>| {
        move || {
            let mut made = Vec::new();
            while !stop.load(Ordering::Relaxed) || made.len() < 100 {
                let decision = decide(&live, "read");
                made.push((decision.revision.0.clone(), decision.denial().is_some()));
            }
            made
        }
    };
    let threads: Vec<_> = (0..2)
        .map(|_| std::thread::spawn(ask(Arc::clone(&kept.live), Arc::clone(&stop))))
        .collect();
    for number in 0..RELOADS {
        kept.write(if number % 2 == 0 { STRICTER } else { STRICT });
        assert_eq!(kept.reload(), Ok(Reload::Served));
    }
    stop.store(true, Ordering::Relaxed);
    let made: Vec<_> = threads.into_iter().flat_map(|it| it.join().unwrap()).collect();
    for (revision, denied) in &made {
        assert_eq!(*denied, *revision != strict, "a mixed decision");
    }
    assert!(made.iter().any(|(_, denied)| *denied), "no thread saw a reload");
    assert_eq!(reloads(&kept, "ok"), RELOADS.to_string());
    assert_eq!(kept.rows().len(), RELOADS);
}

#[test]
fn what_engines_count_outlasts_them() {
    let slow = "package mcp.policy\ndeny if {\n  input.tool == \"slow\"\n  \
                count([1 | some x in numbers.range(1, 3000); some y in numbers.range(1, 3000); x == y]) == 1\n}";
    let mut kept = Kept::new(slow);
    assert!(decide(&kept.live, "slow").error.is_some());
    kept.write(STRICT);
    assert_eq!(kept.reload(), Ok(Reload::Served));
    assert_eq!(kept.keeper.standing.counts().timeouts, 1);
}

#[test]
fn what_people_answer_is_recorded_once() {
    let mut kept = Kept::new(STRICT);
    let path = kept.dir.path().join("approvals.db");
    let config = approval::Config::default();
    let store = Arc::new(ApprovalStore::open(&path, &config, kept.clock.clone()).unwrap());
    kept.keeper.approvals = Some(Arc::clone(&store));
    let ask = |tool: &str| {
        let request = ApprovalRequest {
            decision_id: random_uuid(),
            agent_id: "a1".into(),
            server: "files".into(),
            method: "tools/call".into(),
            tool: Some(tool.into()),
            target: None,
            definition: None,
            arguments: None,
            message: None,
            wait: Duration::ZERO,
        };
        let Approval::Pending(id) = kept.runtime.block_on(store.ask(request)).unwrap() else {
            panic!("nobody has answered");
        };
        id
    };
    let (write, delete) = (ask("write"), ask("delete"));
    kept.look(1);
    assert!(kept.rows().is_empty(), "a question is no answer");
    // The one that was asked last is answered first.
    store.deny(&delete, "eve", Some("too broad")).unwrap();
    kept.clock.advance(Duration::from_secs(1));
    store.grant(&write, &Grant::once("adam")).unwrap();
    kept.look(3);
    let rows = kept.rows();
    let told: Vec<_> = rows.iter().map(|row| row.reasons[0].message.as_str()).collect();
    assert_eq!(
        told,
        [
            format!(
                "eve answered `{delete}`, tools/call `delete` of agent `a1`: denied: too broad"
            ),
            format!(
                "adam answered `{write}`, tools/call `write` of agent `a1`: granted (scope arguments × 1)"
            ),
        ]
    );
    assert!(rows.iter().all(|row| &*row.method == "gateway/approval"));
}

/// A bundle of one file, as a server would give it.
fn bundle(revision: &str, text: &str) -> Bundle {
    let manifest = Manifest { revision: revision.to_owned(), roots: None };
    let files = Files::from([("a.rego".to_owned(), text.as_bytes().to_vec())]);
    let packed = bundle::build(&manifest, files).unwrap();
    Bundle::read(packed.into(), &Verification::default()).unwrap()
}

/// A keeper of a bundle that was kept on disk, and what is in the place where the next is kept.
fn kept_bundle(edit: impl FnOnce(&mut policy::Config)) -> (Kept, impl Fn() -> String) {
    let kept = Kept::with(
        |policies| bundle::keep(&policies.join("kept"), &bundle("r1", STRICT)).unwrap(),
        |config| {
            let folder = config.policy_dir.take().unwrap();
            config.bundle.url = Some("https://policies.example/b.tar.gz".to_owned());
            config.bundle.persist_file = folder.join("kept");
            edit(config);
        },
    );
    let config = kept.keeper.config.bundle.clone();
    let on_disk = move || {
        let bundle = bundle::read_file(&config.persist_file, &config).unwrap();
        bundle.manifest().revision.clone()
    };
    (kept, on_disk)
}

#[test]
fn a_bundle_that_comes_decides_and_is_kept() {
    let (mut kept, on_disk) = kept_bundle(|_| ());
    assert_eq!(kept.denied(), ["write", "delete"]);
    assert_eq!(kept.keeper.standing.json()["origin"], "the bundle `r1`");
    kept.keeper.delivery.put(Ok(bundle("r2", STRICTER).into()));
    kept.look(1);
    assert_eq!(kept.denied(), ["write", "delete", "read"]);
    let status = kept.keeper.standing.json();
    assert_eq!(status["origin"], "the bundle `r2`");
    assert_eq!(status["last_reload"]["cause"], "bundle");
    assert_eq!((reloads(&kept, "ok").as_str(), on_disk().as_str()), ("1", "r2"));
    let [row] = &kept.rows()[..] else { panic!("{:?}", kept.rows()) };
    assert_eq!((&*row.method, row.decision), ("gateway/policy_reload", Outcome::Allow));
    assert_eq!(row.policy_revision, Some(kept.revision()));

    // What is fetched is what any reload reads, and only what is new is told.
    assert_eq!(kept.reload(), Ok(Reload::Unchanged));
    kept.keeper.delivery.put(Ok(bundle("r3", STRICTER).into()));
    kept.look(3);
    assert_eq!(kept.keeper.standing.json()["origin"], "the bundle `r3`");
    assert_eq!((kept.rows().len(), reloads(&kept, "unchanged").as_str()), (1, "2"));
}

#[test]
fn a_bundle_that_is_refused_changes_nothing() {
    let (mut kept, on_disk) = kept_bundle(|_| ());
    let before = kept.revision();
    let refused = [
        (Err("the signature of the bundle does not hold".to_owned()), "signature"),
        (Ok(bundle("r2", "package mcp.policy\ndeny if {").into()), "a.rego:2"),
        (Ok(bundle("r3", "package mcp.policy\nhelper := 1").into()), "no rule `deny`"),
    ];
    for (index, (news, expected)) in refused.into_iter().enumerate() {
        kept.keeper.delivery.put(news);
        kept.look(3);
        let rows = kept.rows();
        assert_eq!(rows.len(), index + 1, "a failure is told once");
        let row = rows.last().unwrap();
        assert_eq!((row.decision, row.error_kind), (Outcome::Error, Some(ErrorKind::PolicyError)));
        assert!(row.error.as_deref().unwrap().contains(expected), "{row:?}");
        assert_eq!((kept.revision(), kept.denied()), (before.clone(), vec!["write", "delete"]));
        assert_eq!(on_disk(), "r1");
    }
    assert_eq!(reloads(&kept, "error"), "3");
    assert_eq!(kept.keeper.standing.json()["origin"], "the bundle `r1`");
    assert_eq!(kept.reload(), Ok(Reload::Unchanged), "the one before is what a reload reads");
}

#[test]
fn a_weaker_bundle_is_kept_once_it_is_approved() {
    let (mut kept, on_disk) = kept_bundle(|config| config.reload.hold_weaker = true);
    kept.keeper.delivery.put(Ok(bundle("r2", WEAK).into()));
    kept.look(2);
    assert_eq!((kept.denied(), on_disk().as_str()), (vec!["write", "delete"], "r1"));
    assert_eq!(kept.reload(), Ok(Reload::Held), "it still is the newest");
    let status = kept.keeper.standing.json();
    kept.folder.approve(status["held"]["revision"].as_str().unwrap()).unwrap();
    kept.look(1);
    assert_eq!((kept.denied(), on_disk().as_str()), (vec!["write"], "r2"));
}

#[test]
fn a_bundle_in_a_file_is_watched() {
    let mut kept = Kept::with(
        |policies| bundle::keep(&policies.join("b.tar.gz"), &bundle("r1", STRICT)).unwrap(),
        |config| config.bundle.file = config.policy_dir.take().map(|dir| dir.join("b.tar.gz")),
    );
    assert_eq!(kept.denied(), ["write", "delete"]);
    let file = kept.policies().join("b.tar.gz");
    bundle::keep(&file, &bundle("r2", STRICTER)).unwrap();
    kept.look(2);
    assert_eq!(kept.denied(), ["write", "delete", "read"]);
    fs::write(&file, "half of a bundle").unwrap();
    kept.look(2);
    assert_eq!(kept.denied(), ["write", "delete", "read"]);
    let status = kept.keeper.standing.json();
    assert!(status["last_reload"]["error"].as_str().unwrap().contains("no complete `tar.gz`"));
    fs::remove_file(&file).unwrap();
    assert!(kept.reload().unwrap_err().contains("b.tar.gz"));
}

/// A log that is full.
struct Full;

impl Recorder for Full {
    fn reserve(&self) -> BoxFuture<'_, Result<Box<dyn Slot>, Failure>> {
        Box::pin(async { Err(Failure::new(ErrorKind::AuditUnavailable, "the log is full")) })
    }
}

#[test]
fn a_bundle_whose_reload_cannot_be_recorded_waits() {
    let (mut kept, on_disk) = kept_bundle(|_| ());
    kept.keeper.journal.recorder = Arc::new(Full);
    kept.keeper.delivery.put(Ok(bundle("r2", STRICTER).into()));
    kept.look(3);
    assert_eq!((kept.denied(), on_disk().as_str()), (vec!["write", "delete"], "r1"));
    kept.keeper.journal.recorder = kept.recorder.clone();
    kept.look(1);
    assert_eq!((kept.denied().len(), on_disk().as_str()), (3, "r2"));
    assert_eq!(kept.rows().len(), 1);
}
