use super::*;

#[track_caller]
fn check(change: impl FnOnce(&mut Config), expected: &str) {
    let mut config = Config { url: Some("http://localhost/mcp".to_owned()), ..Config::default() };
    change(&mut config);
    let error = config.validate().unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn values_without_sense_are_refused_by_key() {
    check(|c| c.url = None, "`upstream.url` or `upstream.command`");
    check(|c| c.command = vec!["cat".to_owned()], "are both set");
    check(|c| c.transport = TransportKind::Stdio, "`upstream.transport`");
    check(|c| c.name.clear(), "`upstream.name`");
    check(|c| c.timeout = Span::secs(0), "`upstream.timeout`");
    check(|c| c.max_message_bytes = 0, "`upstream.max_message_bytes`");
    check(|c| c.retry.max_attempts = 0, "`upstream.retry.max_attempts`");
    let unknown = |c: &mut Config| c.min_protocol_version = Some("2025".to_owned());
    check(unknown, "`upstream.min_protocol_version`");
    check(|c| drop(c.env.insert("A=B".to_owned(), Secret::default())), "`upstream.env`");
    let command = |c: &mut Config, program: &str| {
        c.url = None;
        c.command = vec![program.to_owned()];
    };
    check(|c| command(c, ""), "`upstream.command`");
    check(
        |c| {
            command(c, "cat");
            c.transport = TransportKind::Http;
        },
        "`upstream.transport`",
    );
}

#[test]
fn waits_grow_as_configured_up_to_the_longest() {
    let mut retry = Retry::default();
    let delays = |retry: &Retry| [1, 2, 3, 7, 40].map(|n| retry.delay(n).as_millis());
    assert_eq!(delays(&retry), [100, 200, 400, 5000, 5000]);
    retry.backoff = Backoff::Constant;
    assert_eq!(delays(&retry), [100; 5]);
    retry.max_delay = Span::millis(50);
    assert_eq!(delays(&retry), [50; 5]);
}

#[test]
fn attempts_count_only_when_enabled() {
    let mut retry = Retry::default();
    assert_eq!(retry.attempts(), 3);
    retry.enabled = false;
    assert_eq!(retry.attempts(), 1);
}

#[test]
fn debug_and_serialised_forms_hide_the_environment() {
    let mut config = Config::default();
    config.env.insert("TOKEN".to_owned(), Secret::new("hunter2".to_owned()));
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!serde_json::to_string(&config).unwrap().contains("hunter2"));
}
