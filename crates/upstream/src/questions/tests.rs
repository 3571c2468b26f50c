use std::time::Duration;

use protocol::Message;
use tokio::time::{Instant, sleep};

use super::{PATIENCE, Questions};

const LIMIT: Duration = Duration::from_secs(30);

fn question(id: &str) -> Message {
    let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"elicitation/create"}}"#);
    Message::parse(body.into()).unwrap()
}

/// Waits for what comes after `after`, while these questions are open; gives whether it came and how
/// long that took.
async fn check(questions: &Questions, after: Duration, comes: bool, took: Duration) {
    check_since(Instant::now() - PATIENCE, questions, after, comes, took).await;
}

/// The same for a request that was made then.
async fn check_since(
    since: Instant,
    questions: &Questions,
    after: Duration,
    comes: bool,
    took: Duration,
) {
    let start = Instant::now();
    let came = questions.within(since, start + LIMIT, LIMIT, sleep(after)).await;
    assert_eq!((came.is_some(), start.elapsed()), (comes, took));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_client_is_not_the_servers() {
    let seconds = Duration::from_secs;
    let questions = Questions::default();
    check(&questions, seconds(29), true, seconds(29)).await;
    check(&questions, seconds(31), false, LIMIT).await;

    questions.asked(&question("1"));
    questions.asked(&question(r#""a""#));
    check(&questions, seconds(95), true, seconds(95)).await;
    questions.answered(Some("1"));
    check(&questions, seconds(95), true, seconds(95)).await;
    questions.answered(Some(r#""a""#));
    questions.answered(None);
    check(&questions, seconds(95), false, LIMIT).await;
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_never_answered_holds_nothing_for_ever() {
    let questions = Questions::default();
    questions.asked(&question("1"));
    check(&questions, 2 * PATIENCE, false, PATIENCE).await;
    check(&questions, 2 * PATIENCE, false, LIMIT).await;
}

#[tokio::test(start_paused = true)]
async fn a_question_says_nothing_of_requests_that_came_after_it() {
    let questions = Questions::default();
    questions.asked(&question("1"));
    sleep(Duration::from_secs(1)).await;
    check_since(Instant::now(), &questions, 2 * LIMIT, false, LIMIT).await;
}
