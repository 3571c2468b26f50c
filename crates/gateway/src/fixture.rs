//! A keeper over real files, and everything that it changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::{
    Agent, AuditEvent, ContextView, Decision, Identity, Mode, Policies as _, PolicyInput, Recorder,
    ServerView, SessionView, Stage, Transport,
};
use observability::{Metrics, Reload};
use policy::LivePolicy;
use testkit::clock::ManualClock;
use testkit::ports::MemoryRecorder;
use tokio::runtime::{Builder, Runtime};

use crate::control::ControlFolder;
use crate::journal::Journal;
use crate::parts::Loaded;
use crate::reload::LOOK;
use crate::reload::keeper::{Cause, Keeper};
use crate::reload::status::Standing;
use crate::reload::weaker::Rehearsed;

/// Denies writes and deletes.
pub(crate) const STRICT: &str = r#"package mcp.policy
violations contains {"msg": "no writes", "rule": "writes"} if input.tool == "write"
violations contains {"msg": "no deletes", "rule": "deletes"} if input.tool == "delete"
"#;
/// Denies writes only.
pub(crate) const WEAK: &str = r#"package mcp.policy
violations contains {"msg": "no writes", "rule": "writes"} if input.tool == "write"
"#;
/// Denies what [`STRICT`] does, and reading.
pub(crate) const STRICTER: &str = r#"package mcp.policy
violations contains {"msg": "no writes", "rule": "writes"} if input.tool == "write"
violations contains {"msg": "no deletes", "rule": "deletes"} if input.tool == "delete"
violations contains {"msg": "no reads", "rule": "reads"} if input.tool == "read"
"#;

/// A gateway's policy, kept from the folder `policies` of a folder of its own.
pub(crate) struct Kept {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) keeper: Keeper,
    pub(crate) live: Arc<LivePolicy>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) recorder: Arc<MemoryRecorder>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) folder: ControlFolder,
    pub(crate) runtime: Runtime,
}

impl Kept {
    /// A keeper of one file, `a.rego`.
    pub(crate) fn new(text: &str) -> Self {
        Self::with(|policies| fs::write(policies.join("a.rego"), text).unwrap(), |_| ())
    }

    /// A keeper of the files that `fill` writes into the folder, configured by `edit`.
    pub(crate) fn with(fill: impl FnOnce(&Path), edit: impl FnOnce(&mut policy::Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let policies = dir.path().join("policies");
        fs::create_dir(&policies).unwrap();
        fill(&policies);
        let mut config = policy::Config { policy_dir: Some(policies), ..policy::Config::default() };
        edit(&mut config);
        let (loaded, watch) = Loaded::new(&config, None).unwrap();
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let (recorder, clock) = (Arc::new(MemoryRecorder::default()), ManualClock::new());
        let metrics = Arc::new(Metrics::new("files").unwrap());
        let (live, folder) = (loaded.live, ControlFolder::at(dir.path()));
        let standing = Standing::new(Arc::clone(&live), config.enabled, "c1".into(), loaded.origin);
        let journal = Journal {
            recorder: Arc::clone(&recorder) as Arc<dyn Recorder>,
            runtime: runtime.handle().clone(),
            clock: clock.clone(),
            mode: Mode::Enforce,
            environment: "test".into(),
            server: "files".into(),
            config: "c1".into(),
        };
        let keeper = Keeper {
            config: loaded.config,
            live: Arc::clone(&live),
            watch,
            delivery: Arc::default(),
            bundle: None,
            unrecorded: false,
            folder: folder.clone(),
            rehearse: Box::new(|_, _| Ok(Rehearsed::default())),
            journal,
            metrics: Arc::clone(&metrics),
            standing: Arc::new(standing),
            clock: clock.clone(),
            threads: 2,
            held: None,
            approvals: None,
            answered: std::time::SystemTime::UNIX_EPOCH,
        };
        Self { dir, keeper, live, metrics, recorder, clock, folder, runtime }
    }

    /// The folder of the policies.
    pub(crate) fn policies(&self) -> PathBuf {
        self.dir.path().join("policies")
    }

    /// Writes `a.rego`.
    pub(crate) fn write(&self, text: &str) {
        fs::write(self.policies().join("a.rego"), text).unwrap();
    }

    /// Looks `times` times, half a second apart.
    pub(crate) fn look(&mut self, times: usize) {
        for _ in 0..times {
            self.clock.advance(LOOK);
            self.keeper.look();
        }
    }

    /// Loads the files because the process was told to.
    pub(crate) fn reload(&mut self) -> Result<Reload, String> {
        self.keeper.reload(Cause::Signal)
    }

    /// The revision in force.
    pub(crate) fn revision(&self) -> Arc<str> {
        Arc::clone(&self.live.current_engine().revision().0)
    }

    /// Which of the tools `write`, `delete` and `read` are denied.
    pub(crate) fn denied(&self) -> Vec<&'static str> {
        let denied = |tool: &&str| decide(&self.live, tool).denial().is_some();
        ["write", "delete", "read"].into_iter().filter(denied).collect()
    }

    /// The rows so far.
    pub(crate) fn rows(&self) -> Vec<AuditEvent> {
        self.recorder.events()
    }

    /// The sample of a metric.
    #[track_caller]
    pub(crate) fn metric(&self, line: &str) -> String {
        let text = self.metrics.render();
        let value = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {line} in {text}")).to_owned()
    }
}

/// What the policy in force says of a call of `tool`.
pub(crate) fn decide(live: &LivePolicy, tool: &str) -> Decision {
    let (agent, identity) = (Arc::new(Agent::default()), Arc::new(Identity::configured()));
    let state = Arc::default();
    live.current().decide(&PolicyInput {
        stage: Stage::Request,
        method: "tools/call",
        id: Some("1"),
        tool: Some(tool),
        resource: None,
        prompt: None,
        arguments: Some("{}"),
        params: None,
        size: 100,
        result: None,
        agent: &agent,
        identity: &identity,
        session: SessionView::none(&state),
        server: ServerView { name: "files", transport: "stdio", url: None, tool: None },
        context: ContextView {
            timestamp: std::time::SystemTime::UNIX_EPOCH,
            source_ip: None,
            environment: "test",
            transport: Transport::Http,
            headers: &[],
        },
    })
}
