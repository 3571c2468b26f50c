use std::fs;
use std::sync::Arc;
use std::time::Duration;

use admin::{PolicyControl as _, Reloaded};
use domain::SystemClock;

use super::Reloads;
use crate::fixture::{Kept, STRICT, STRICTER};

#[test]
fn whoever_asks_is_told_what_became_of_it() {
    let Kept { mut keeper, dir, live, runtime, .. } = Kept::new(STRICT);
    keeper.clock = Arc::new(SystemClock);
    let (reloads, thread) = Reloads::start(keeper).unwrap();
    let ask = || runtime.block_on(async { reloads.reload().await });
    let before = live.current_engine().revision().clone();

    let Reloaded::Done(told) = ask() else { panic!("the files are as they were") };
    assert_eq!((&told["result"], &told["cause"]), (&"unchanged".into(), &"operator".into()));
    let file = dir.path().join("policies/a.rego");
    fs::write(&file, "nonsense").unwrap();
    let Reloaded::Refused(told) = ask() else { panic!("the file is no policy") };
    assert_eq!(told["result"], "error");
    assert!(told["error"].as_str().unwrap().contains("a.rego:1"), "{told}");
    assert_eq!(*live.current_engine().revision(), before);
    fs::write(&file, STRICTER).unwrap();
    let Reloaded::Done(told) = ask() else { panic!("the file is a policy") };
    assert_eq!(told["result"], "ok");
    assert_ne!(*live.current_engine().revision(), before);

    let status = reloads.status();
    assert_eq!(status["revision"], *live.current_engine().revision().0);
    assert_eq!(status["config"], "c1");
    assert_eq!(status["last_reload"], told);
    assert_eq!(status["files"][0], file.to_str().unwrap());
    reloads.stop();
    thread.join().unwrap();
    assert_eq!(ask(), Reloaded::Unavailable);
}

/// Row 53: with nobody asking, a change is served after the second look, hence within two seconds.
#[test]
fn the_thread_looks_by_itself_and_hears_signals() {
    // A busy machine may take longer than the looks do.
    const LATEST: Duration = Duration::from_secs(10);
    assert!(2 * super::LOOK <= Duration::from_secs(1));
    let Kept { mut keeper, dir, recorder, runtime, .. } = Kept::new(STRICT);
    keeper.clock = Arc::new(SystemClock);
    let (reloads, thread) = Reloads::start(keeper).unwrap();
    fs::write(dir.path().join("policies/a.rego"), STRICTER).unwrap();
    let wait = |rows| {
        runtime.block_on(async { tokio::time::timeout(LATEST, recorder.wait_for(rows)).await })
    };
    assert_eq!(wait(1).unwrap().len(), 1);
    fs::write(dir.path().join("policies/a.rego"), "nonsense").unwrap();
    reloads.signal();
    assert_eq!(wait(2).unwrap().len(), 2);
    reloads.stop();
    thread.join().unwrap();
}

#[test]
fn many_who_ask_at_once_are_all_answered() {
    let Kept { mut keeper, dir: _dir, runtime, .. } = Kept::new(STRICT);
    keeper.clock = Arc::new(SystemClock);
    let (reloads, thread) = Reloads::start(keeper).unwrap();
    let answers = runtime.block_on(async {
        let asking: Vec<_> = (0..100).map(|_| reloads.reload()).collect();
        let mut answers = Vec::new();
        for asked in asking {
            answers.push(asked.await);
        }
        answers
    });
    // Beyond the bound of the queue they are told so at once.
    let done = answers.iter().filter(|it| matches!(it, Reloaded::Done(_))).count();
    let refused = answers.iter().filter(|it| **it == Reloaded::Unavailable).count();
    assert_eq!(done + refused, 100);
    assert!(done >= super::WAITING, "{done}");
    reloads.stop();
    thread.join().unwrap();
}
