//! The console blocks of the README do what they show, in a copy of the files
//! that a newcomer has, while a gateway runs there as `make run` starts it, but
//! on a port of its own.

use std::process::Command;

use crate::harness::console::{blocks, document, root, wrong};
use crate::harness::gateway::Process;
use crate::harness::{free_port, run_in, until};

/// A folder with copies of what the commands of a README may read or write.
fn workspace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["config", "policies", "docs", "README.md"] {
        let copied =
            Command::new("cp").arg("-r").arg(root().join(name)).arg(dir.path()).status().unwrap();
        assert!(copied.success(), "{name} is missing");
    }
    dir
}

#[test]
fn the_console_blocks_of_the_readme_print_what_they_show() {
    let blocks = blocks(&document("README.md"), "console");
    assert!(!blocks.is_empty(), "README.md shows no ```console block");
    let dir = workspace();
    let port = free_port();
    let env = [("MCP_SERVER_PORT", &*port.to_string()), ("MCP_POLICY_EVALUATION_TIMEOUT", "2s")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut gateway = Process::spawn(dir.path(), &["run"], &env);
    until("the gateway of the README listens", || {
        assert!(gateway.ended().is_none(), "{}", gateway.stderr());
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let wrong: Vec<String> =
        blocks.iter().flat_map(|block| wrong(block, dir.path(), port)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_configuration_of_the_readme_is_valid() {
    let blocks = blocks(&document("README.md"), "yaml");
    assert!(!blocks.is_empty(), "README.md shows no ```yaml block");
    let dir = workspace();
    for block in blocks {
        std::fs::write(dir.path().join("config.yaml"), &block).unwrap();
        let checked = run_in(dir.path(), &["config", "validate", "--config", "config.yaml"], &[]);
        assert_eq!(checked.code, 0, "{block}\n{}", checked.stderr);
    }
}

#[test]
fn the_first_screen_of_the_readme_is_complete() {
    let text = document("README.md");
    let rules = blocks(&text, "rego");
    assert!(
        rules.first().is_some_and(|rule| (5..=12).contains(&rule.lines().count())),
        "about eight lines of Rego come first"
    );
    assert!(
        text.contains("31001") || text.contains("policy_denied"),
        "the deny that it prints is shown"
    );
}
