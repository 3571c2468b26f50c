use std::os::unix::fs::PermissionsExt as _;

use settings::Settings;

use super::ControlFolder;

fn folder() -> (tempfile::TempDir, ControlFolder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = ControlFolder::at(dir.path());
    (dir, folder)
}

#[test]
fn it_is_where_the_audit_log_is() {
    #[track_caller]
    fn check(db_path: &str, enabled: bool, expected: &str) {
        let mut settings = Settings::default();
        (settings.audit.db_path, settings.audit.enabled) = (db_path.into(), enabled);
        assert_eq!(ControlFolder::of(&settings).path().to_str(), Some(expected));
    }
    check("/var/lib/mcp-proxy/audit.db", true, "/var/lib/mcp-proxy");
    check("log/audit.db", true, "log");
    check("audit.db", true, ".");
    check("/var/lib/mcp-proxy/audit.db", false, ".");
}

#[test]
fn a_lockdown_lasts_until_it_is_lifted() {
    let (dir, folder) = folder();
    assert!(!folder.is_locked_down().unwrap());
    assert!(!folder.set_lockdown(false).unwrap());
    assert!(folder.set_lockdown(true).unwrap());
    assert!(!folder.set_lockdown(true).unwrap());
    assert!(folder.is_locked_down().unwrap());
    let mode = std::fs::metadata(dir.path().join("lockdown")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(folder.set_lockdown(false).unwrap());
    assert!(!folder.is_locked_down().unwrap());
}

#[test]
fn a_folder_that_is_gone_says_nothing() {
    let (dir, folder) = folder();
    drop(dir);
    folder.is_locked_down().unwrap_err();
    folder.set_lockdown(true).unwrap_err();
    folder.set_lockdown(false).unwrap_err();
    folder.approve("0123456789ab").unwrap_err();
    assert!(!folder.approves("0123456789ab"));
}

#[test]
fn one_revision_is_approved_at_a_time() {
    let (_dir, folder) = folder();
    let (one, two) = ("0123456789abcdef", "fedcba9876543210");
    assert!(!folder.approves(one));
    folder.approve(one).unwrap();
    assert!(folder.approves(one) && !folder.approves(two));
    folder.approve("fedcba987654").unwrap();
    assert!(!folder.approves(one) && folder.approves(two));
}

#[test]
fn what_is_no_revision_approves_nothing() {
    let (dir, folder) = folder();
    for text in ["", "0123456789a", "latest-and-greatest", "../../etc/passwd"] {
        assert!(
            folder.approve(text).unwrap_err().to_string().contains("no policy revision"),
            "{text}"
        );
    }
    for text in ["", "\n", "0123", "\u{fffd}"] {
        std::fs::write(dir.path().join("policy.approved"), text).unwrap();
        assert!(!folder.approves("0123456789abcdef"), "{text}");
    }
}
