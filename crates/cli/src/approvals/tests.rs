use std::path::Path;
use std::time::Duration;

use domain::{Approval, ApprovalRequest, Approvals as _};

use super::*;

fn asked(path: &Path) -> (ApprovalStore, String) {
    let store =
        ApprovalStore::open(path, &approval::Config::default(), Arc::new(SystemClock)).unwrap();
    let request = request();
    let id = request.decision_id.to_string();
    let answer = crate::runtime().unwrap().block_on(store.ask(request)).unwrap();
    assert_eq!(answer, Approval::Pending(id.clone().into()));
    (store, id)
}

fn request() -> ApprovalRequest {
    ApprovalRequest {
        decision_id: domain::random_uuid(),
        agent_id: "alice".into(),
        server: "files".into(),
        method: "tools/call".into(),
        tool: Some("delete\u{1b}[2J".into()),
        target: None,
        definition: None,
        arguments: Some(r#"{"path": "/a"}"#.into()),
        message: Some("deletes a file".into()),
        wait: Duration::ZERO,
    }
}

fn store(path: &Path) -> StoreArgs {
    StoreArgs { db: Some(path.to_owned()), config: None }
}

#[test]
fn what_is_granted_on_the_command_line_passes_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("approvals.db");
    let (gateway, id) = asked(&path);
    let grant = GrantArgs {
        id: id.get(..8).unwrap().to_owned(),
        scope: Scope::Arguments,
        lasts: Span::secs(60),
        uses: 1,
        note: None,
        store: store(&path),
    };
    assert_eq!(execute(ApprovalsCommand::Grant(grant)).unwrap(), Exit::Done);
    let runtime = crate::runtime().unwrap();
    assert!(matches!(runtime.block_on(gateway.ask(request())).unwrap(), Approval::Granted(_)));
    assert!(matches!(runtime.block_on(gateway.ask(request())).unwrap(), Approval::Pending(_)));
}

#[test]
fn what_is_denied_stays_denied() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("approvals.db");
    let (gateway, id) = asked(&path);
    let deny = DenyArgs { id, note: Some("never".to_owned()), store: store(&path) };
    execute(ApprovalsCommand::Deny(deny)).unwrap();
    let answer = crate::runtime().unwrap().block_on(gateway.ask(request())).unwrap();
    assert!(matches!(answer, Approval::Denied(_)));
}

#[test]
fn a_list_shows_nothing_that_a_terminal_would_obey() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("approvals.db");
    let (gateway, id) = asked(&path);
    let questions = gateway.list(&Filter::default()).unwrap();
    let text: String = questions.iter().map(block).collect();
    assert!(
        text.contains(&id) && text.contains("alice") && text.contains("deletes a file"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn what_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.db");
    let deny = |path: &Path| {
        let args = DenyArgs { id: "abcdef".to_owned(), note: None, store: store(path) };
        execute(ApprovalsCommand::Deny(args)).unwrap_err().to_string()
    };
    assert!(deny(&path).contains("none.db"));
    asked(&path);
    assert!(deny(&path).contains("abcdef"));
    assert!(scope("tol").unwrap_err().contains("`tool`"));
}
