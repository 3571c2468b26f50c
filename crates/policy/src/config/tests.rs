use super::*;

#[track_caller]
fn check(yaml: &str, error: Option<&str>) {
    let config: Config = serde_yaml::from_str(yaml).unwrap();
    assert_eq!(config.validate().err().map(|error| error.to_string()).as_deref(), error, "{yaml}");
}

#[test]
fn values_out_of_range_name_the_key_and_the_remedy() {
    check("{}", None);
    check("evaluation: {timeout: 10ms}", None);
    let hint = "set it between `1ms` and `10s`";
    check(
        "evaluation: {timeout: 0s}",
        Some(&format!("`policy.evaluation.timeout` is `0s`; {hint}")),
    );
    check(
        "evaluation: {timeout: 11s}",
        Some(&format!("`policy.evaluation.timeout` is `11s`; {hint}")),
    );
    check(
        "cache: {max_entries: 0}",
        Some(
            "`policy.cache.max_entries` is 0; set it to 1 or more, or turn the cache off with \
             `policy.cache.enabled: false`",
        ),
    );
    check("cache: {max_entries: 0, enabled: false}", None);
}

#[test]
fn unknown_keys_are_refused() {
    assert!(
        serde_yaml::from_str::<Config>("polcy_dir: x")
            .unwrap_err()
            .to_string()
            .contains("polcy_dir")
    );
    assert!(serde_yaml::from_str::<Config>("cache: {size: 1}").is_err());
}
