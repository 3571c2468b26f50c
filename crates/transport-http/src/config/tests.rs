//! Values that make no sense are refused by key.

use super::*;

fn problem(change: impl FnOnce(&mut Config)) -> String {
    let mut config = Config::default();
    change(&mut config);
    config.validate().unwrap_err().to_string()
}

#[test]
fn the_defaults_make_sense() {
    Config::default().validate().unwrap();
}

#[test]
fn a_value_that_makes_no_sense_is_refused_by_key() {
    let zero = Span::millis(0);
    for (key, message) in [
        ("read_timeout", problem(|config| config.read_timeout = zero)),
        ("write_timeout", problem(|config| config.write_timeout = zero)),
        ("idle_timeout", problem(|config| config.idle_timeout = zero)),
        ("header_timeout", problem(|config| config.header_timeout = zero)),
        ("max_connections", problem(|config| config.max_connections = 0)),
        ("limits.max_body_bytes", problem(|config| config.limits.max_body_bytes = 0)),
        ("limits.max_header_bytes", problem(|config| config.limits.max_header_bytes = 262_145)),
        ("limits.max_headers", problem(|config| config.limits.max_headers = 4097)),
        (
            "security.allowed_hosts[1]",
            problem(|config| {
                config.security.allowed_hosts =
                    vec!["a.example".into(), "https://a.example".into()];
            }),
        ),
        (
            "security.allowed_origins[0]",
            problem(|config| config.security.allowed_origins = vec!["*".into()]),
        ),
    ] {
        assert!(message.starts_with(&format!("`server.{key}`: ")), "{message}");
        assert!(message.contains("write "), "{message}");
    }
}
