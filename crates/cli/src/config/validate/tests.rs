use tempfile::TempDir;

use super::*;

const POLICY: &str = "package mcp.policy\n\ndeny contains \"no\" if input.tool == \"burn\"\n";

/// A folder with a policy, and the configuration that uses it with `more` after it.
fn folder(more: &str) -> (TempDir, ValidateArgs) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("policies")).unwrap();
    std::fs::write(path("policies/policy.rego"), POLICY).unwrap();
    let text = format!(
        "policy: {{ policy_dir: {0}/policies }}\n{1}\n",
        folder.path().display(),
        more.replace("HERE", folder.path().to_str().unwrap())
    );
    let file = path("config.yaml");
    std::fs::write(&file, text).unwrap();
    (folder, ValidateArgs { config: Some(file), check_upstream: false })
}

#[track_caller]
fn check_valid(more: &str) {
    let (folder, args) = folder(more);
    let before = entries(&folder);
    assert_eq!(execute(&args).unwrap(), Exit::Done);
    assert_eq!(entries(&folder), before, "nothing is created");
}

fn entries(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[track_caller]
fn check_invalid(more: &str, mentions: &[&str]) {
    let (_folder, args) = folder(more);
    let error = format!("{:#}", execute(&args).unwrap_err());
    for mention in mentions {
        assert!(error.contains(mention), "{mention}: {error}");
    }
}

#[test]
fn what_could_be_served_is_valid() {
    check_valid("audit: { db_path: HERE/audit.db }");
    check_valid("audit: { enabled: false }");
    check_valid("audit: { db_path: HERE/audit.db }\nupstream: { url: 'http://127.0.0.1:9/mcp' }");
    check_valid("audit: { db_path: HERE/audit.db }\nupstream: { command: [sh, -c, 'exit 1'] }");
    check_valid(
        "audit: { db_path: HERE/audit.db }\nlogging: { output: file, file: { path: HERE/a.log } }",
    );
}

#[test]
fn what_cannot_work_is_invalid() {
    check_invalid("server: { listen: { prot: 1 } }", &["config.yaml:2:", "`server.listen.prot`"]);
    check_invalid(
        "audit: { db_path: HERE/none/audit.db }",
        &["/none/audit.db`", "`audit.db_path`"],
    );
    check_invalid("audit: { db_path: HERE/policies }", &["is a directory"]);
    check_invalid("audit: { db_path: HERE/config.yaml }", &["is not a SQLite database"]);
    let log =
        "audit: { enabled: false }\nlogging: { output: file, file: { path: HERE/none/a.log } }";
    check_invalid(log, &["/none/a.log`", "`logging.file.path`"]);
    let upstream = "audit: { enabled: false }\nupstream: { url: 'ftp://127.0.0.1/mcp' }";
    check_invalid(upstream, &["upstream.url"]);
}

/// Judges a key file with this text and mode.
fn keys(text: &str, mode: u32) -> anyhow::Result<Exit> {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, args) =
        folder("audit: { enabled: false }\nsession: { key_file: HERE/session.key }");
    let path = folder.path().join("session.key");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    execute(&args)
}

#[test]
fn the_keys_of_sessions_are_judged_as_at_the_start() {
    check_valid("audit: { enabled: false }\nsession: { key_file: HERE/session.key }");
    let key = format!("{}=\n", "A".repeat(43));
    for mode in [0o600, 0o644] {
        assert_eq!(keys(&key, mode).unwrap(), Exit::Done);
    }
    let error = keys(&key, 0o620).unwrap_err().to_string();
    assert!(error.contains("has mode 0620") && error.contains("`session.key_file`"), "{error}");
    let error = keys(&format!("{key}hunter2\n"), 0o600).unwrap_err().to_string();
    assert!(error.contains("line 2 of") && !error.contains("hunter2"), "{error}");
    let off = "audit: { enabled: false }\nsession: { key_file: HERE";
    check_invalid(&format!("{off}/policies }}"), &["it is a directory; name a file in it"]);
    check_invalid(
        &format!("{off}/none/session.key }}"),
        &["cannot be created; see `session.key_file`", "/none`"],
    );
}

#[test]
fn the_keys_beside_the_audit_log_are_judged_too() {
    let (folder, args) = folder("audit: { db_path: HERE/audit.db }");
    std::fs::create_dir(folder.path().join("session.key")).unwrap();
    let error = execute(&args).unwrap_err().to_string();
    assert!(error.contains("/session.key` (`session.key_file`)"), "{error}");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let (folder, args) = folder("audit: { db_path: HERE/none/audit.db }");
    std::fs::write(
        folder.path().join("policies/broken.rego"),
        "package mcp.policy\n\ndeny contains",
    )
    .unwrap();
    let error = format!("{:#}", execute(&args).unwrap_err());
    assert!(error.contains("broken.rego:3:"), "{error}");
    assert!(error.contains("\nerror: the audit log "), "{error}");
}

#[test]
fn an_empty_file_can_become_the_log() {
    let (folder, args) = folder("audit: { db_path: HERE/audit.db }");
    let db = folder.path().join("audit.db");
    std::fs::write(&db, "").unwrap();
    assert_eq!(execute(&args).unwrap(), Exit::Done);
    assert_eq!(std::fs::metadata(&db).unwrap().len(), 0, "it is not touched");
}

#[test]
fn the_server_is_looked_for_when_asked() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let more =
        format!("audit: {{ enabled: false }}\nupstream: {{ url: 'http://127.0.0.1:{port}/mcp' }}");
    let (_folder, mut args) = folder(&more);
    args.check_upstream = true;
    assert_eq!(execute(&args).unwrap(), Exit::Done);
    drop(listener);
    let error = execute(&args).unwrap_err().to_string();
    assert!(error.starts_with("the server cannot be reached: "), "{error}");
}

#[test]
fn a_command_that_is_not_there_is_found_out_when_asked() {
    let (_folder, mut args) =
        folder("audit: { enabled: false }\nupstream: { command: [/none/server] }");
    assert_eq!(execute(&args).unwrap(), Exit::Done);
    args.check_upstream = true;
    let error = execute(&args).unwrap_err().to_string();
    assert!(error.contains("`/none/server`"), "{error}");
}
