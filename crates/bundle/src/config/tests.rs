use domain::{Secret, Span};

use super::Config;
use crate::Algorithm;
use crate::fixture::{SHARED, pem};

#[track_caller]
fn check_refused(edit: impl FnOnce(&mut Config), expected: &str) {
    let mut config = Config::default();
    edit(&mut config);
    let error = config.validate().unwrap_err().to_string();
    assert!(error.contains(expected), "{expected} is not in {error}");
}

#[test]
fn what_is_out_of_range_is_named() {
    Config::default().validate().unwrap();
    check_refused(|it| it.poll_interval = Span::millis(10), "`policy.bundle.poll_interval`");
    check_refused(|it| it.max_bytes = 1, "`policy.bundle.max_bytes`");
    check_refused(|it| it.key_id = Some("a".into()), "`policy.bundle.key_id` is `a`");
    check_refused(|it| it.scope = Some("a".into()), "`policy.bundle.scope`");
    check_refused(
        |it| drop(it.public_keys.insert("a".into(), "x".into())),
        "`policy.bundle.public_keys.a`",
    );
    check_refused(
        |it| drop(it.shared_keys.insert("a".into(), Secret::new("x".into()))),
        "`policy.bundle.shared_keys.a`",
    );
    let both = |it: &mut Config| {
        it.public_keys.insert("a".into(), pem(Algorithm::ES256).1);
        it.shared_keys.insert("a".into(), Secret::new(SHARED.into()));
    };
    check_refused(both, "its own name");
    let two = |it: &mut Config| {
        (it.url, it.file) = (Some("https://a.example/b".into()), Some("b".into()));
    };
    check_refused(two, "either an address or a file");
}

#[track_caller]
fn check_url(url: &str, accepted: bool) {
    let config = Config { url: Some(url.to_owned()), ..Config::default() };
    let outcome = config.validate();
    assert_eq!(outcome.is_ok(), accepted, "{url}: {outcome:?}");
    if let Err(error) = outcome {
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn bundles_come_over_https_or_from_this_machine() {
    check_url("https://policies.example/bundle.tar.gz", true);
    check_url("http://127.0.0.1:8080/b", true);
    check_url("http://[::1]:8080/b", true);
    check_url("http://localhost/b", true);
    check_url("http://policies.example/b", false);
    check_url("http://127.0.0.1.example/b", false);
    check_url("http://localhost.example/b", false);
    check_url("http://10.0.0.1/b", false);
    check_url("https://user:hunter2@policies.example/b", false);
    check_url("file:///etc/passwd", false);
    check_url("policies.example/b", false);
    check_url("", false);
}

#[test]
fn the_file_that_is_read_is_the_one_that_is_named_or_kept() {
    assert!(!Config::default().is_on());
    let fetched = Config { url: Some("https://a.example/b".into()), ..Config::default() };
    assert!(fetched.is_on());
    assert_eq!(fetched.path(), fetched.persist_file);
    let named = Config { file: Some("b.tar.gz".into()), ..Config::default() };
    assert!(named.is_on());
    assert_eq!(named.path().to_str(), Some("b.tar.gz"));
}
