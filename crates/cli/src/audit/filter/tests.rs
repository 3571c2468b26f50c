use std::time::Instant;

use clap::Parser;

use super::*;

/// Half past ten on 2026-11-20, UTC.
const NOW: &str = "2026-11-20T10:30:00Z";

struct Stopped;

impl Clock for Stopped {
    fn wall(&self) -> SystemTime {
        NOW.parse::<Timestamp>().unwrap().into()
    }

    fn monotonic(&self) -> Instant {
        domain::SystemClock.monotonic()
    }
}

#[track_caller]
fn check_moment(text: &str, expected: &str) {
    let moment: Moment = text.parse().unwrap();
    assert_eq!(Timestamp::try_from(moment.resolve(&Stopped)).unwrap().to_string(), expected);
}

#[test]
fn times_are_read_as_people_write_them() {
    check_moment("0s", NOW);
    check_moment("90s", "2026-11-20T10:28:30Z");
    check_moment("2h", "2026-11-20T08:30:00Z");
    check_moment("1h30m", "2026-11-20T09:00:00Z");
    check_moment("7d", "2026-11-13T10:30:00Z");
    check_moment("2026-11-20", "2026-11-20T00:00:00Z");
    check_moment("2026-11-20 08:15", "2026-11-20T08:15:00Z");
    check_moment("2026-11-20T08:15:00Z", "2026-11-20T08:15:00Z");
    check_moment("2026-11-20T08:15:00.25+02:00", "2026-11-20T06:15:00.25Z");
}

#[test]
fn a_time_before_all_time_is_the_epoch() {
    check_moment("18446744073709551615s", "1970-01-01T00:00:00Z");
}

#[track_caller]
fn check_refused(text: &str) {
    let refusal = text.parse::<Moment>().unwrap_err().to_string();
    assert!(refusal.contains("`2h`"), "{refusal}");
}

#[test]
fn what_is_no_time_is_refused() {
    check_refused("");
    check_refused("yesterday");
    check_refused("-2h");
    check_refused("2026-13-01");
}

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    filter: FilterArgs,
}

#[track_caller]
fn check(line: &[&str], expected: Filter) {
    let line = std::iter::once("test").chain(line.iter().copied());
    let parsed = Line::try_parse_from(line).unwrap();
    assert_eq!(parsed.filter.resolve(&Stopped, 7), expected);
}

#[test]
fn each_option_sets_its_condition() {
    let base = || Filter { limit: 7, descending: true, ..Filter::default() };
    let text = |text: &str| Some(text.to_owned());
    check(&[], base());
    check(&["--agent", "a"], Filter { agent: text("a"), ..base() });
    check(&["--session", "s-1"], Filter { session: text("s-1"), ..base() });
    check(&["--method", "tools/call"], Filter { method: text("tools/call"), ..base() });
    check(&["--tool", "t"], Filter { tool: text("t"), ..base() });
    check(&["--server", "x"], Filter { server: text("x"), ..base() });
    check(&["--decision", "allow"], Filter { decision: Some(Outcome::Allow), ..base() });
    check(&["--decision", "deny"], Filter { decision: Some(Outcome::Deny), ..base() });
    check(&["--decision", "error"], Filter { decision: Some(Outcome::Error), ..base() });
    check(&["--rule", "deny"], Filter { rule: text("deny"), ..base() });
    check(&["--reason", "path"], Filter { reason: text("path"), ..base() });
    check(&["--id", "0b5a"], Filter { id: text("0b5a"), ..base() });
    check(&["--request-id", "0b5a"], Filter { id: text("0b5a"), ..base() });
    check(&["--decision-id", "0b5a"], Filter { id: text("0b5a"), ..base() });
    let now = Stopped.wall();
    let before = |hours: u64| now.checked_sub(Duration::from_secs(hours * 3600));
    check(
        &["--since", "2h", "--until", "1h"],
        Filter { since: before(2), until: before(1), ..base() },
    );
}
