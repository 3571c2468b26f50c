use super::ProtocolVersion;

#[test]
fn names_go_both_ways() {
    for version in ProtocolVersion::ALL {
        assert_eq!(ProtocolVersion::from_str(version.as_str()), Some(version));
    }
    for unknown in ["", "2025-06-1", "2025-06-18 ", "2099-01-01", "latest"] {
        assert_eq!(ProtocolVersion::from_str(unknown), None, "{unknown}");
    }
}

#[test]
fn later_revisions_are_greater() {
    assert!(ProtocolVersion::ALL.is_sorted());
    assert_eq!(ProtocolVersion::ALL.last(), Some(&ProtocolVersion::LATEST));
}
