use std::num::NonZeroU32;
use std::time::Duration;

use domain::{Approval, ApprovalRequest, Approvals as _, ErrorKind};

use super::MAX_PENDING;
use crate::fixture::{Fixture, denied, granted, id, pending, request};
use crate::{Filter, Grant, Scope, State};

const MAIL: &str = r#"{"to":"a","n":1}"#;
/// The same in other words.
const SAME: &str = r#"{ "n":1, "to":"a" }"#;
const OTHER: &str = r#"{"to":"b","n":1}"#;

fn grant(scope: Scope, uses: Option<u32>) -> Grant {
    Grant { scope, uses: uses.and_then(NonZeroU32::new), ..Grant::once("ann") }
}

#[tokio::test]
async fn a_question_that_is_asked_again_is_the_same_question() {
    let fixture = Fixture::new();
    assert_eq!(fixture.ask(request(1, MAIL)).await, pending(1));
    assert_eq!(fixture.ask(request(2, SAME)).await, pending(1));
    assert_eq!(fixture.ask(request(3, OTHER)).await, pending(3));
    let others = [
        ApprovalRequest { agent_id: "agent-2".into(), ..request(4, MAIL) },
        ApprovalRequest { server: "post".into(), ..request(5, MAIL) },
        ApprovalRequest { tool: Some("send".into()), ..request(6, MAIL) },
        ApprovalRequest { tool: None, target: Some("send_mail".into()), ..request(7, MAIL) },
        ApprovalRequest { method: "prompts/get".into(), ..request(8, MAIL) },
        ApprovalRequest { arguments: None, ..request(9, MAIL) },
        ApprovalRequest { definition: Some("d2".into()), ..request(10, MAIL) },
    ];
    for (number, other) in (4..).zip(others) {
        assert_eq!(fixture.ask(other).await, pending(number));
    }
    // Nobody answers: later it is a new question.
    fixture.clock.advance(Duration::from_secs(600));
    assert_eq!(fixture.ask(request(11, MAIL)).await, pending(11));
}

/// A server that changes a tool after a person has looked at it gets nothing out of the grant.
#[tokio::test]
async fn a_grant_ends_with_the_definition_of_the_tool() {
    for scope in [Scope::Arguments, Scope::Tool] {
        let fixture = Fixture::new();
        let defined = |number, definition: &str| ApprovalRequest {
            definition: Some(definition.into()),
            ..request(number, MAIL)
        };
        fixture.ask(defined(1, "d1")).await;
        fixture.store.grant(&id(1), &grant(scope, None)).unwrap();
        assert_eq!(fixture.ask(defined(2, "d1")).await, granted(1));
        assert_eq!(fixture.ask(defined(3, "d2")).await, pending(3));
        assert_eq!(fixture.ask(request(4, MAIL)).await, pending(4));
    }
}

#[tokio::test]
async fn questions_that_nobody_answers_do_not_pile_up() {
    let fixture = Fixture::new();
    let more = super::MAX_EXPIRED + 5;
    for number in 1..=more {
        fixture.ask(request(number, &format!("[{number}]"))).await;
    }
    fixture.ask(request(more + 1, "[0]")).await;
    fixture.store.deny(&id(more + 1), "ann", None).unwrap();
    fixture.clock.advance(Duration::from_secs(600));
    fixture.ask(request(more + 2, MAIL)).await;
    let kept = |state| {
        let rows = rusqlite::Connection::open(&fixture.path).unwrap();
        let sql = "SELECT count(*) FROM approval WHERE state = ?1";
        rows.query_row(sql, [state], |row| row.get::<_, u32>(0)).unwrap()
    };
    // The new one, and what expired last.
    assert_eq!(kept("pending"), super::MAX_EXPIRED + 1);
    assert_eq!(kept("denied"), 1, "what a person has said is kept");
}

#[tokio::test]
async fn a_file_that_was_removed_or_replaced_grants_nothing() {
    let fixture = Fixture::new();
    fixture.ask(request(1, MAIL)).await;
    fixture.store.grant(&id(1), &grant(Scope::Tool, None)).unwrap();
    assert_eq!(fixture.ask(request(2, MAIL)).await, granted(1));
    std::fs::remove_file(&fixture.path).unwrap();
    let refused = async |number| fixture.store.ask(request(number, MAIL)).await.unwrap_err();
    assert!(refused(3).await.detail.contains("removed or replaced"));
    std::fs::write(&fixture.path, "").unwrap();
    assert_eq!(refused(4).await.kind, ErrorKind::Internal);
}

#[tokio::test]
async fn one_decision_may_ask_twice() {
    let fixture = Fixture::new();
    assert_eq!(fixture.ask(request(1, MAIL)).await, pending(1));
    let second = fixture.ask(request(1, OTHER)).await;
    assert_ne!(second, pending(1));
    assert_eq!(fixture.ask(request(1, OTHER)).await, second);
}

#[tokio::test]
async fn a_grant_is_good_for_one_message_exactly_as_it_was_asked() {
    let fixture = Fixture::new();
    fixture.ask(request(1, MAIL)).await;
    let cli = fixture.other_process();
    let question = cli.grant(&id(1), &Grant::once("ann")).unwrap();
    assert_eq!((question.state, question.uses_limit), (State::Granted, Some(1)));
    assert_eq!(fixture.ask(request(2, OTHER)).await, pending(2));
    assert_eq!(fixture.ask(request(3, SAME)).await, granted(1));
    assert_eq!(fixture.ask(request(4, MAIL)).await, pending(4));
    let used = cli.list(&Filter { state: Some(State::Used), ..Filter::default() }).unwrap();
    assert_eq!(used.iter().map(|used| (&*used.id, used.uses)).collect::<Vec<_>>(), [(&*id(1), 1)]);
}

/// Whether a grant of that scope for [`MAIL`] lets each of these pass.
#[track_caller]
fn check_scope(scope: Scope, expected: [bool; 6]) {
    let requests = [
        request(2, MAIL),
        request(3, OTHER),
        ApprovalRequest { tool: Some("delete_mail".into()), ..request(4, MAIL) },
        ApprovalRequest { method: "prompts/get".into(), ..request(5, MAIL) },
        ApprovalRequest { agent_id: "agent-2".into(), ..request(6, MAIL) },
        ApprovalRequest { server: "post".into(), ..request(7, MAIL) },
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let fixture = Fixture::new();
    let answers = requests.map(|request| {
        runtime.block_on(async {
            fixture.ask(super::tests::request(1, MAIL)).await;
            match fixture.store.grant(&id(1), &grant(scope, None)) {
                Ok(_) | Err(crate::Error::Decided { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            fixture.ask(request).await == granted(1)
        })
    });
    assert_eq!(answers, expected, "{scope:?}");
}

#[test]
fn a_grant_lets_pass_what_its_scope_says() {
    check_scope(Scope::Arguments, [true, false, false, false, false, false]);
    check_scope(Scope::Tool, [true, true, false, false, false, false]);
    check_scope(Scope::Agent, [true, true, true, false, false, false]);
}

#[tokio::test]
async fn grants_run_out_by_use_and_by_time() {
    let fixture = Fixture::new();
    fixture.ask(request(1, MAIL)).await;
    fixture.store.grant(&id(1), &grant(Scope::Tool, Some(2))).unwrap();
    for expected in [granted(1), granted(1), pending(4)] {
        assert_eq!(fixture.ask(request(4, OTHER)).await, expected);
    }
    fixture.store.grant(&id(4), &grant(Scope::Arguments, None)).unwrap();
    fixture.clock.advance(Duration::from_secs(3599));
    assert_eq!(fixture.ask(request(5, OTHER)).await, granted(4));
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.ask(request(6, OTHER)).await, pending(6));
}

#[tokio::test]
async fn a_denial_stands_until_it_expires() {
    let fixture = Fixture::new();
    fixture.ask(request(1, MAIL)).await;
    fixture.clock.advance(Duration::from_secs(599));
    fixture.store.deny(&id(1), "ann", Some("not today")).unwrap();
    fixture.clock.advance(Duration::from_secs(599));
    assert_eq!(fixture.ask(request(2, SAME)).await, denied(1));
    assert_eq!(fixture.ask(request(3, OTHER)).await, pending(3));
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.ask(request(4, MAIL)).await, pending(4));
}

#[tokio::test]
async fn two_messages_never_share_one_use() {
    let fixture = Fixture::new();
    fixture.ask(request(1, MAIL)).await;
    fixture.store.grant(&id(1), &grant(Scope::Arguments, Some(5))).unwrap();
    // Two gateways on one file.
    let stores = [fixture.store.clone(), fixture.other_process()];
    let asking = (2..22).map(|number| {
        let store = stores[number as usize % 2].clone();
        tokio::spawn(async move { store.ask(request(number, MAIL)).await.unwrap() })
    });
    let mut passed = 0;
    for answer in asking.collect::<Vec<_>>() {
        passed += usize::from(answer.await.unwrap() == granted(1));
    }
    assert_eq!(passed, 5);
}

#[tokio::test]
async fn a_message_waits_for_its_answer() {
    let fixture = Fixture::new();
    let waiting = |number, arguments: &str| ApprovalRequest {
        wait: Duration::from_secs(30),
        ..request(number, arguments)
    };
    let cli = fixture.other_process();
    let answer = |number: u32| {
        let cli = cli.clone();
        async move {
            loop {
                let answered = match number {
                    1 => cli.grant(&id(1), &Grant::once("ann")),
                    _ => cli.deny(&id(number), "ann", None),
                };
                if answered.is_ok() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    };
    let (grant, ()) = tokio::join!(fixture.ask(waiting(1, MAIL)), answer(1));
    assert_eq!(grant, granted(1));
    let (denial, ()) = tokio::join!(fixture.ask(waiting(2, MAIL)), answer(2));
    assert_eq!(denial, denied(2));
    let brief = ApprovalRequest { wait: Duration::from_millis(1), ..request(3, OTHER) };
    assert_eq!(fixture.ask(brief).await, pending(3));
}

#[tokio::test]
async fn there_is_a_bound_on_open_questions() {
    let fixture = Fixture::new();
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MAX_PENDING})
         INSERT INTO approval (id, asked_at, expires_at, agent, server, method, arguments_hash)
         SELECT 'q' || i, {now}, {now} + 600000000, 'a', 's', 'm', x'00' FROM n",
        now = fixture.store.now()
    );
    fixture.store.with(|connection| connection.execute_batch(&fill)).unwrap();
    let failure = fixture.store.ask(request(1, MAIL)).await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Overloaded);
    assert!(failure.detail.contains("10000 questions are open"), "{}", failure.detail);
    fixture.clock.advance(Duration::from_secs(600));
    assert_eq!(fixture.ask(request(1, MAIL)).await, pending(1));
    // What nobody can act on any more goes in the end.
    fixture.clock.advance(Duration::from_secs(31 * 24 * 60 * 60));
    fixture.ask(request(2, MAIL)).await;
    let count = "SELECT count(*) FROM approval";
    let left: u32 = fixture.store.with(|db| db.query_row(count, [], |row| row.get(0))).unwrap();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn a_file_that_fails_lets_nothing_pass() {
    let fixture = Fixture::new();
    fixture.store.with(|connection| connection.execute_batch("DROP TABLE approval")).unwrap();
    let failure = fixture.store.ask(request(1, MAIL)).await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Internal);
    assert_eq!(failure.message, "the approval cannot be asked for");
    assert!(failure.detail.contains("no such table"), "{}", failure.detail);
}

#[tokio::test]
async fn people_see_masked_arguments_of_bounded_length() {
    let fixture = Fixture::new();
    let shown = async |number: u32, arguments: &str| {
        fixture.ask(request(number, arguments)).await;
        fixture.store.list(&Filter::default()).unwrap()[0].arguments.clone().unwrap()
    };
    assert_eq!(shown(1, r#"{"to":"a","password":"x"}"#).await, r#"{"to":"a","password":"***"}"#);
    assert_eq!(shown(2, "not json").await, "8 bytes that are not JSON");
    let long = shown(3, &format!(r#""{}""#, "x".repeat(5000))).await;
    assert!(long.len() < 4200 && long.ends_with("… [5002 bytes]"), "{long}");
    let hostile = "'); DROP TABLE approval; --";
    let request = ApprovalRequest {
        agent_id: hostile.into(),
        tool: Some(hostile.into()),
        ..request(4, MAIL)
    };
    assert_eq!(fixture.ask(request).await, Approval::Pending(id(4).into()));
    assert_eq!(fixture.store.list(&Filter::default()).unwrap()[0].agent, hostile);
}
