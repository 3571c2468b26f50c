//! A lockdown that begins while a message is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::{Answer, Decision, Mode, Policies, Policy, PolicyInput, Stage};

use super::fixture::*;

/// Allows everything, and once it is locked nothing.
#[derive(Default)]
struct Lock(Arc<AtomicBool>);

impl Policies for Lock {
    fn current(&self) -> Arc<dyn Policy> {
        match self.0.load(Ordering::SeqCst) {
            true => Arc::new(Locked),
            false => Arc::new(Open),
        }
    }
}

struct Open;

impl Policy for Open {
    fn decide(&self, _: &PolicyInput<'_>) -> Decision {
        allow()
    }

    fn examines(&self, _: Stage) -> bool {
        false
    }
}

struct Locked;

impl Policy for Locked {
    fn decide(&self, _: &PolicyInput<'_>) -> Decision {
        deny("locked down")
    }

    fn examines(&self, _: Stage) -> bool {
        true
    }

    fn holds_in_audit_mode(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn answers_to_what_was_sent_before_it_do_not_reach_the_client() {
    const EVENTS: [&str; 2] = [
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"secret"}}"#,
        r#"{"jsonrpc":"2.0","id":77,"result":{"secret":2}}"#,
    ];
    for mode in [Mode::Enforce, Mode::Audit] {
        for streams in [false, true] {
            let lock = Lock::default();
            let locks = Arc::clone(&lock.0);
            let setup = Setup { mode, policies: Some(Arc::new(lock)), ..Setup::default() };
            let gateway = setup
                .server(move |_, _| {
                    locks.store(true, Ordering::SeqCst);
                    match streams {
                        true => now(stream_of(&EVENTS)),
                        false => now(Answer::Message(response(r#"{"secret":1}"#))),
                    }
                })
                .start();
            let session = gateway.session().await;
            let (_, answer) = gateway.say(&session, CALL).await;
            assert!(answer.contains("-31001") && !answer.contains("secret"), "{answer}");
            let rows = gateway.rows();
            assert_eq!(
                rows.last().map(String::as_str),
                Some("response deny forwarded policy_denied")
            );
        }
    }
}
