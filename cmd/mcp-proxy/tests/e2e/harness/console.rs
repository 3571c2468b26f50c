//! Documents whose examples are run: their fenced blocks, and whether the
//! commands of a `console` block print what the block shows.
//!
//! Each line that starts with `$ ` is run by `bash`, with this build first on
//! the path. The lines below a command must come out in that order; `…` stands
//! for anything.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::binary;

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A document of the repository.
#[track_caller]
pub(crate) fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Language and body of every fenced block, in order.
pub(crate) fn fenced(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut inside: Option<(&str, Vec<&str>)> = None;
    for line in text.lines() {
        match (&mut inside, line.trim().strip_prefix("```")) {
            (None, Some(language)) => inside = Some((language, Vec::new())),
            (Some((language, lines)), Some(_)) => {
                found.push(((*language).to_owned(), lines.join("\n")));
                inside = None;
            }
            (Some((_, lines)), None) => lines.push(line),
            (None, None) => {}
        }
    }
    found
}

/// The bodies of the fenced blocks of one language.
pub(crate) fn blocks(text: &str, language: &str) -> Vec<String> {
    let of_it = fenced(text).into_iter().filter(|(given, _)| given == language);
    of_it.map(|(_, body)| body).collect()
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

/// The search path on which this build comes first.
pub(crate) fn path() -> String {
    let usual = std::env::var_os("PATH").unwrap();
    format!("{}:{}", binary().parent().unwrap().display(), usual.to_string_lossy())
}

/// What each command of one block printed; they run in one shell, and call the gateway on `port`.
fn run(dir: &Path, port: u16, commands: &[(String, Vec<String>)]) -> Vec<String> {
    let mut script = format!(
        "exec 2>&1\nmcp-proxy() {{ if [ \"$1\" = call ]; then shift; command mcp-proxy call --url http://127.0.0.1:{port}/mcp \"$@\"; \
         else command mcp-proxy \"$@\"; fi; }}\n"
    );
    for (command, _) in commands {
        script.push_str(&format!("{command}\necho \"==== end\"\n"));
    }
    let mut command = Command::new("timeout");
    command
        .args(["60", "bash", "-c", &script])
        .current_dir(dir)
        .env("PATH", path())
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split("==== end\n").map(str::to_owned).collect()
}

/// Runs a `console` block in `dir`, and says which commands print something else than it shows.
#[track_caller]
pub(crate) fn wrong(block: &str, dir: &Path, port: u16) -> Vec<String> {
    let commands = commands(block);
    assert!(!commands.is_empty(), "a console block without a command:\n{block}");
    let printed = run(dir, port, &commands);
    let mut wrong = Vec::new();
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
    wrong
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
