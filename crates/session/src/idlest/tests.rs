use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use domain::Clock;

use super::{BATCH, Idlest};
use crate::fixture::{open, small, table};
use crate::{Config, Session};

#[test]
fn sessions_go_in_the_order_of_their_last_use_and_are_looked_at_rarely() {
    let all = 2 * BATCH;
    let (sessions, clock) = table(Config { max_sessions: all, ..small() });
    let order: Vec<Arc<Session>> = (0..all)
        .map(|_| {
            clock.advance(Duration::from_millis(1));
            open(&sessions).unwrap()
        })
        .collect();
    let (idlest, looks) = (Idlest::default(), Cell::new(0));
    let pop = || {
        let look = || {
            looks.set(looks.get() + 1);
            // The last ones first, and none that was taken.
            order.iter().rev().filter(|it| !it.is_closed()).cloned().collect()
        };
        let session = idlest.pop(clock.monotonic(), look, |session, since| {
            let still = !session.is_closed() && session.idle_since() == Some(since);
            order.iter().find(|it| still && it.id() == session.id()).cloned()
        })?;
        session.close();
        Some(session)
    };
    clock.advance(Duration::from_millis(1));
    assert!(Arc::ptr_eq(&pop().unwrap(), &order[0]));
    order[1].touch();
    let call = order[2].enter();
    for expected in &order[3..] {
        assert!(Arc::ptr_eq(&pop().unwrap(), expected));
    }
    assert!(Arc::ptr_eq(&pop().unwrap(), &order[1]), "it was used after the others");
    assert_eq!(looks.get(), 3);
    assert!(pop().is_none() && pop().is_none());
    assert_eq!(looks.get(), 4, "nobody looks twice at once");
    drop(call);
    clock.advance(Duration::from_millis(100));
    assert!(Arc::ptr_eq(&pop().unwrap(), &order[2]));
}
