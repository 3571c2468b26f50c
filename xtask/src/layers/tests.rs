use super::{Edge, broken};

#[track_caller]
fn check(from: &str, to: &str, dev: bool, expected: &str) {
    let found = broken(&[], &[Edge { from, to, dev }]);
    if expected.is_empty() {
        assert!(found.is_empty(), "{from} -> {to}: {found:?}");
    } else {
        assert_eq!(found.len(), 1, "{from} -> {to}: {found:?}");
        assert!(found[0].contains(expected), "{from} -> {to}: {found:?}");
    }
}

#[test]
fn imports_go_downward() {
    check("domain", "protocol", false, "");
    check("mcp-proxy", "cli", false, "");
    check("gateway", "settings", false, "");
    check("router", "serde", false, "");
}

#[test]
fn imports_do_not_go_upward() {
    check("protocol", "domain", false, "above");
    check("settings", "gateway", false, "above");
    check("policy", "router", true, "above");
}

#[test]
fn imports_do_not_go_sideways() {
    check("policy", "audit", false, "beside");
    check("transport-sse", "transport-http", true, "beside");
}

#[test]
fn the_testkit_is_for_tests() {
    check("router", "testkit", true, "");
    check("protocol", "testkit", true, "");
    check("benches", "testkit", false, "");
    check("router", "testkit", false, "outside its tests");
}

#[test]
fn tools_import_all_and_are_imported_by_none() {
    check("benches", "cli", false, "");
    check("gateway", "benches", true, "tool");
}

#[test]
fn outside_crates_have_owners() {
    check("policy", "regorus", false, "");
    check("router", "regorus", false, "belongs to rego");
    check("benches", "rusqlite", false, "");
    check("cli", "rusqlite", true, "belongs to audit");
    check("router", "prometheus", false, "belongs to observability");
    check("testkit", "axum", false, "");
    check("router", "axum", false, "belongs to transport-http");
}

#[test]
fn a_new_crate_needs_a_layer() {
    let found = broken(&["protocol", "benches", "newcomer"], &[]);
    assert_eq!(found, ["`newcomer` has no layer; add it to xtask/src/layers.rs"]);
}
