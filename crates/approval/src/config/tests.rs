use std::path::Path;

use super::Config;

#[track_caller]
fn check(yaml: &str, problem: &str) {
    let config: Config = serde_json::from_str(yaml).unwrap();
    let error = config.validate().unwrap_err().to_string();
    assert_eq!(error, problem);
}

#[test]
fn what_cannot_work_is_refused() {
    Config::default().validate().unwrap();
    check(
        r#"{"db_path": ""}"#,
        "`approval.db_path` cannot be used: it is empty; name a file, or leave it out",
    );
    check(r#"{"expires": "10ms"}"#, "`approval.expires` cannot be used: `10ms` is shorter than 1s");
    check(
        r#"{"wait": "1h"}"#,
        "`approval.wait` cannot be used: `1h` is longer than `approval.expires`, `10m`",
    );
    serde_json::from_str::<Config>(r#"{"expire": "1h"}"#).unwrap_err();
}

#[test]
fn the_file_is_beside_the_audit_log_unless_it_is_named() {
    let beside = Config::default().path(Path::new("logs/audit.db"));
    assert_eq!(beside, Path::new("logs/approvals.db"));
    let named = Config { db_path: Some("x.db".into()), ..Config::default() };
    assert_eq!(named.path(Path::new("logs/audit.db")), Path::new("x.db"));
}
