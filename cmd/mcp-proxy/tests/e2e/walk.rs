//! The walk of a policy author in `docs/policies.md`, from an empty file to an
//! enforced rule, goes as it is printed: files are written as shown, the
//! gateway is started and restarted where the page says so, and the commands
//! print what stands below them.

use std::path::Path;

use nix::sys::signal::Signal;

use crate::harness::console::{document, fenced, wrong};
use crate::harness::gateway::Process;
use crate::harness::{free_port, until};

/// The text of a section, up to the next one.
#[track_caller]
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).expect("the section is gone");
    rest.split("\n## ").next().unwrap()
}

/// Runs `mcp-proxy …` in `dir`, and waits until it listens on `port`.
#[track_caller]
fn start(command: &str, dir: &Path, port: u16) -> Process {
    let mut words = command.split_whitespace();
    assert_eq!(words.next(), Some("mcp-proxy"), "{command}");
    let args: Vec<&str> = words.collect();
    let env = [("MCP_SERVER_PORT", &*port.to_string()), ("MCP_POLICY_EVALUATION_TIMEOUT", "2s")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut gateway = Process::spawn(dir, &args, &env);
    until("the gateway of the walk listens", || {
        assert!(gateway.ended().is_none(), "{}", gateway.stderr());
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    gateway
}

#[test]
fn from_an_empty_file_to_an_enforced_rule() {
    let text = document("docs/policies.md");
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut gateway: Option<Process> = None;
    let (mut commands, mut differ) = (0, Vec::new());
    for (language, body) in fenced(section(&text, "From an empty file to an enforced rule")) {
        let named = body.lines().next().and_then(|line| line.strip_prefix("# "));
        match (&*language, named) {
            ("rego" | "yaml", Some(name)) => {
                let path = dir.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, format!("{body}\n")).unwrap();
            }
            ("sh", _) => {
                if let Some(mut before) = gateway.take() {
                    before.signal(Signal::SIGTERM);
                    assert_eq!(before.wait(), Some(0), "{}", before.stderr());
                }
                gateway = Some(start(&body, dir.path(), port));
            }
            ("console", _) => {
                commands += body.lines().filter(|line| line.starts_with("$ ")).count();
                differ.extend(wrong(&body, dir.path(), port));
            }
            _ => panic!("what is this block for?\n{body}"),
        }
    }
    assert!(gateway.is_some() && commands > 10, "{commands} commands");
    assert!(differ.is_empty(), "{}", differ.join("\n\n"));
}
