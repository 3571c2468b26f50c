//! SARIF 2.1.0 (OASIS): one run of one tool.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Finding, Level};

/// The log. What passed is no result.
pub(super) fn log(findings: &[Finding]) -> Value {
    let results: Vec<_> = findings.iter().filter_map(result).collect();
    let codes: BTreeSet<&str> = findings.iter().map(|it| it.code.as_str()).collect();
    let rules: Vec<_> = codes.into_iter().map(|code| json!({ "id": code })).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "mcp-proxy",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "results": results,
        }],
    })
}

fn result(finding: &Finding) -> Option<Value> {
    let level = match finding.level {
        Level::Passed | Level::Skipped => return None,
        Level::Warning => "warning",
        Level::Error => "error",
    };
    let artifact = json!({ "uri": uri(&finding.file) });
    let region = match (finding.line, finding.column) {
        (0, _) => None,
        (line, 0) => Some(json!({ "startLine": line })),
        (line, column) => Some(json!({ "startLine": line, "startColumn": column })),
    };
    let place = match region {
        None => json!({ "artifactLocation": artifact }),
        Some(region) => json!({ "artifactLocation": artifact, "region": region }),
    };
    Some(json!({
        "ruleId": finding.code,
        "level": level,
        "message": { "text": finding.message },
        "locations": [{ "physicalLocation": place }],
    }))
}

/// A path as a URI reference (RFC 3986): what may not stand there is percent-encoded.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte);
        match plain {
            true => uri.push(char::from(byte)),
            false => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
