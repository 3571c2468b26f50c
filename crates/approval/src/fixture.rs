//! What the tests of this crate share: a clock set by hand, a store in a directory of its own, requests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::{Approval, ApprovalRequest, Approvals as _};
use tempfile::TempDir;
use testkit::clock::ManualClock;
use uuid::Uuid;

use crate::{ApprovalStore, Config};

/// A store as the gateway holds it.
pub(crate) struct Fixture {
    pub(crate) store: ApprovalStore,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) path: PathBuf,
    _directory: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("approvals.db");
        let clock = ManualClock::new();
        // 2026-11-20T10:40:00Z.
        clock.advance(Duration::from_secs(1_795_171_200));
        let time = Arc::<ManualClock>::clone(&clock);
        let store = ApprovalStore::open(&path, &Config::default(), time).unwrap();
        Self { store, clock, path, _directory: directory }
    }

    /// The same file, opened a second time, as by the command line.
    pub(crate) fn other_process(&self) -> ApprovalStore {
        let clock = Arc::<ManualClock>::clone(&self.clock);
        ApprovalStore::open(&self.path, &Config::default(), clock).unwrap()
    }

    pub(crate) async fn ask(&self, request: ApprovalRequest) -> Approval {
        self.store.ask(request).await.unwrap()
    }
}

/// The name of the `number`th decision.
pub(crate) fn id(number: u32) -> String {
    Uuid::from_u128(u128::from(number) << 96).to_string()
}

/// A call of `send_mail` with these arguments, under the `number`th decision.
pub(crate) fn request(number: u32, arguments: &str) -> ApprovalRequest {
    ApprovalRequest {
        decision_id: Uuid::from_u128(u128::from(number) << 96),
        agent_id: "agent-1".into(),
        server: "mail".into(),
        method: "tools/call".into(),
        tool: Some("send_mail".into()),
        target: None,
        definition: None,
        arguments: Some(arguments.into()),
        message: Some("mail leaves the house".into()),
        wait: Duration::ZERO,
    }
}

pub(crate) fn pending(number: u32) -> Approval {
    Approval::Pending(id(number).into())
}

pub(crate) fn granted(number: u32) -> Approval {
    Approval::Granted(id(number).into())
}

pub(crate) fn denied(number: u32) -> Approval {
    Approval::Denied(id(number).into())
}
