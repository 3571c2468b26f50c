use super::*;

#[test]
fn a_lockdown_holds_until_it_is_switched_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings::Settings::default();
    settings.audit.db_path = dir.path().join("audit.db");
    let folder = ControlFolder::of(&settings);
    assert_eq!(act(&folder, Action::Status).unwrap(), Exit::Done);
    for action in [Action::On, Action::On] {
        assert_eq!(act(&folder, action).unwrap(), Exit::Done);
        assert_eq!(act(&folder, Action::Status).unwrap(), Exit::No);
    }
    for action in [Action::Off, Action::Off] {
        assert_eq!(act(&folder, action).unwrap(), Exit::Done);
        assert_eq!(act(&folder, Action::Status).unwrap(), Exit::Done);
    }
    settings.audit.db_path = dir.path().join("gone/audit.db");
    act(&ControlFolder::of(&settings), Action::On).unwrap_err();
}
