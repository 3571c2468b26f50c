//! Keys of the contract whose feature this version does not have. They are refused: a key that is accepted and
//! does nothing is worse than one that is missing.

use crate::catalog::variable;

/// A key, with everything below it, and what to do instead.
pub(crate) const KEYS: [(&str, &str); 9] = [
    ("agentfacts", "policy can read `agent`, which names the agent without proving it"),
    ("alerts", "alert on `mcp_proxy_policy_decisions_total` of the metrics"),
    ("audit.on_failure", "messages are always refused when they cannot be recorded"),
    ("guardrails", "write the rule in Rego under `policy.policy_dir`"),
    (
        "server.security.cors_allowed_origins",
        "list the origins under `server.security.allowed_origins`",
    ),
    ("servers", "name one server under `upstream`"),
    ("threat_detection", "write the rule in Rego under `policy.policy_dir`"),
    ("tls", "end TLS in front of the gateway"),
    ("upstream.circuit_breaker", "`upstream.retry` bounds attempts at a server that is down"),
];

/// What to say of a key that is not in this version.
pub(crate) fn key(path: &str) -> Option<String> {
    let (_, instead) = KEYS.iter().find(|(key, _)| *key == path)?;
    Some(text(path, instead))
}

/// What to say of a variable that sets such a key or one below it.
pub(crate) fn of_variable(name: &str) -> Option<String> {
    let (path, instead) = KEYS.iter().find(|(path, _)| {
        name.strip_prefix(&variable(path))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })?;
    Some(text(path, instead))
}

fn text(path: &str, instead: &str) -> String {
    format!("`{path}` is not available in this version; remove it ({instead})")
}
