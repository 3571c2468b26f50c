//! The console blocks of the README do what they show.
//!
//! Each line that starts with `$ ` is run by `bash`, with this build first on
//! the path, in a copy of the files that a newcomer has, while a gateway runs
//! there as `make run` starts it, but on a port of its own. The lines below a
//! command must come out in that order; `…` stands for anything.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::gateway::Process;
use crate::harness::{binary, free_port, run_in, until};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The bodies of the fenced blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside: Option<Vec<&str>> = None;
    for line in text.lines() {
        match (&mut inside, line.trim()) {
            (None, fence) if fence == format!("```{language}") => inside = Some(Vec::new()),
            (Some(lines), "```") => {
                found.push(lines.join("\n"));
                inside = None;
            }
            (Some(lines), _) => lines.push(line),
            (None, _) => {}
        }
    }
    found
}

/// One command and the lines that it prints.
fn commands(block: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            found.push((command.to_owned(), Vec::new()));
        } else if let Some((command, wanted)) = found.last_mut() {
            if command.ends_with('\\') && wanted.is_empty() {
                command.push('\n');
                command.push_str(line.strip_prefix("> ").unwrap_or(line));
            } else if !line.trim().is_empty() {
                wanted.push(line.to_owned());
            }
        }
    }
    found
}

/// Whether `line` is `wanted`, in which `…` stands for any text.
fn fits(wanted: &str, line: &str) -> bool {
    let parts: Vec<&str> = wanted.trim_end().split('…').collect();
    let Some((first, rest)) = parts.split_first() else { return false };
    let Some(mut left) = line.trim_end().strip_prefix(first) else { return false };
    for (number, part) in rest.iter().enumerate() {
        let last = number + 1 == rest.len();
        let Some(at) = (if last {
            left.ends_with(part).then(|| left.len() - part.len())
        } else {
            left.find(part)
        }) else {
            return false;
        };
        left = left.split_at(at + part.len()).1;
    }
    left.is_empty()
}

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

/// What each command of one block printed; they run in one shell.
fn run_block(dir: &Path, port: u16, commands: &[(String, Vec<String>)]) -> Vec<String> {
    let mut script = format!(
        "exec 2>&1\nmcp-proxy() {{ if [ \"$1\" = call ]; then shift; command mcp-proxy call --url http://127.0.0.1:{port}/mcp \"$@\"; \
         else command mcp-proxy \"$@\"; fi; }}\n"
    );
    for (command, _) in commands {
        script.push_str(&format!("{command}\necho \"==== end\"\n"));
    }
    let path = format!(
        "{}:{}",
        binary().parent().unwrap().display(),
        std::env::var_os("PATH").unwrap().to_string_lossy()
    );
    let mut command = Command::new("timeout");
    command
        .args(["60", "bash", "-c", &script])
        .current_dir(dir)
        .env("PATH", path)
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split("==== end\n").map(str::to_owned).collect()
}

#[test]
fn the_console_blocks_of_the_readme_print_what_they_show() {
    let path = root().join("README.md");
    let text = std::fs::read_to_string(&path).expect("there is no README.md at the top");
    let blocks = blocks(&text, "console");
    assert!(!blocks.is_empty(), "README.md shows no ```console block");
    let dir = workspace();
    let port = free_port();
    let mut gateway =
        Process::spawn(dir.path(), &["run"], &[("MCP_SERVER_PORT".to_owned(), port.to_string())]);
    until("the gateway of the README listens", || {
        assert!(gateway.ended().is_none(), "{}", gateway.stderr());
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let mut wrong = Vec::new();
    for block in &blocks {
        let commands = commands(block);
        assert!(!commands.is_empty(), "a console block without a command:\n{block}");
        let printed = run_block(dir.path(), port, &commands);
        for (number, (command, wanted)) in commands.iter().enumerate() {
            let mine: Vec<&str> =
                printed.get(number).map(|part| part.lines().collect()).unwrap_or_default();
            let mut lines = mine.iter();
            for line in wanted {
                if line.trim() != "…" && !lines.any(|printed| fits(line, printed)) {
                    wrong.push(format!("$ {command}\nshows: {line}\nprints:\n{}", mine.join("\n")));
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_configuration_of_the_readme_is_valid() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = blocks(&text, "yaml");
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
    let text = std::fs::read_to_string(root().join("README.md"))
        .expect("there is no README.md at the top");
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

#[test]
fn the_matcher_matches() {
    for (wanted, line, fit) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a…", "ab", true),
        ("…b", "ab", true),
        ("a…c", "abbc", true),
        ("a…c…e", "abcde", true),
        ("a…c", "abcd", false),
        ("…", "", true),
    ] {
        assert_eq!(fits(wanted, line), fit, "{wanted} {line}");
    }
}
