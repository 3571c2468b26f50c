use domain::Span;

use super::Config;

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config: Config = serde_json::from_str("{}").unwrap();
    assert_eq!(config, Config::default());
    assert!(config.enabled);
    assert_eq!(config.db_path.to_str(), Some("audit.db"));
    assert_eq!((config.buffer_size, config.retention_days), (10_000, 30));
    assert_eq!((config.flush_interval, config.max_wait), (Span::millis(50), Span::secs(1)));
    assert!(!config.capture.request_arguments && !config.capture.response_summary);
    assert_eq!(config.capture.max_bytes, 4096);
    config.validate().unwrap();
}

#[track_caller]
fn check(text: &str, wanted: &str) {
    let read = serde_json::from_str::<Config>(text);
    let problem = match read {
        Ok(config) => config.validate().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(problem.contains(wanted), "{text}: {problem}");
}

#[test]
fn values_that_cannot_work_are_refused_by_name() {
    check(r#"{"db_path": ""}"#, "`audit.db_path`");
    check(r#"{"buffer_size": 0}"#, "`audit.buffer_size` cannot be used: `0` is not within");
    check(r#"{"buffer_size": 1000001}"#, "`audit.buffer_size`");
    check(r#"{"flush_interval": "0s"}"#, "`audit.flush_interval`");
    check(r#"{"flush_interval": "soon"}"#, "`soon` is not a length of time");
    check(r#"{"retention_days": -1}"#, "invalid value");
    check(r#"{"path": "x"}"#, "unknown field `path`");
    check(r#"{"capture": {"all": true}}"#, "unknown field `all`");
}
