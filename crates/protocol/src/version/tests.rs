use super::{Era, ProtocolVersion};

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
}

#[test]
fn the_eras_meet_between_the_newest_of_each() {
    assert_eq!(ProtocolVersion::ALL.last().map(|newest| newest.era()), Some(Era::Modern));
    for version in ProtocolVersion::ALL {
        let legacy = version <= ProtocolVersion::LATEST_LEGACY;
        assert_eq!(version.era() == Era::Legacy, legacy, "{version}");
    }
}
