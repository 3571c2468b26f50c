use std::collections::BTreeSet;

use super::ErrorKind;

#[test]
fn labels_are_unique_and_own_codes_lie_outside_the_reserved_range() {
    let labels: BTreeSet<_> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(labels.len(), ErrorKind::ALL.len());

    for kind in ErrorKind::ALL {
        let spec = [-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022];
        let spec = spec.contains(&kind.code());
        let own = (-31_999..=-31_000).contains(&kind.code());
        assert!(spec || own, "{kind} has code {}", kind.code());
    }
}
