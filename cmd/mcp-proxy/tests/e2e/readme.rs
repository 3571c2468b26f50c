//! The console blocks of the README do what they show.
//!
//! Each line that starts with `$ ` is run by `bash`, with this build first on
//! the path, in a copy of the files that a newcomer has. The lines below it must
//! come out in that order; `…` stands for anything. A command that ends in `&`
//! keeps running until the block ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::harness::binary;

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
        let Some(at) = (if last { left.ends_with(part).then(|| left.len() - part.len()) } else { left.find(part) }) else {
            return false;
        };
        left = &left[at + part.len()..];
    }
    left.is_empty()
}

/// A folder with copies of what the commands of a README may read or write.
fn workspace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["config", "policies", "docs", "README.md"] {
        let copied = Command::new("cp").arg("-r").arg(root().join(name)).arg(dir.path()).status().unwrap();
        assert!(copied.success(), "{name} is missing");
    }
    dir
}

/// The lines that were printed by each command of one block, run in one shell.
fn run_block(dir: &Path, commands: &[(String, Vec<String>)]) -> Vec<String> {
    use std::os::unix::process::CommandExt as _;
    let mut script = String::from("exec 2>&1\n");
    for (command, _) in commands {
        script.push_str(&format!("{command}\necho \"==== end\"\n"));
        if command.trim_end().ends_with('&') {
            // The next command must find the listener.
            script.push_str("for i in $(seq 100); do (exec 3<>/dev/tcp/127.0.0.1/3000) 2>/dev/null && break; sleep 0.1; done\n");
        }
    }
    let out = dir.join(".console");
    let file = std::fs::File::create(&out).unwrap();
    let path = format!("{}:{}", binary().parent().unwrap().display(), std::env::var_os("PATH").unwrap().to_string_lossy());
    let mut child = Command::new("timeout")
        .args(["60", "bash", "-c", &script])
        .current_dir(dir)
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(file)
        .process_group(0)
        .spawn()
        .unwrap();
    child.wait().unwrap();
    // What a block leaves running in the background ends with it.
    killpg(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGKILL).unwrap_or_default();
    let text = std::fs::read_to_string(out).unwrap();
    text.split("==== end\n").map(str::to_owned).collect()
}

#[test]
fn the_console_blocks_of_the_readme_print_what_they_show() {
    let path = root().join("README.md");
    let text = std::fs::read_to_string(&path).expect("there is no README.md at the top");
    let blocks = blocks(&text, "console");
    assert!(!blocks.is_empty(), "README.md shows no ```console block");
    let dir = workspace();
    let mut wrong = Vec::new();
    for block in &blocks {
        let commands = commands(block);
        assert!(!commands.is_empty(), "a console block without a command:\n{block}");
        // Background commands print whenever they like: their lines may come anywhere later.
        let printed = run_block(dir.path(), &commands);
        let all: Vec<&str> = printed.iter().flat_map(|part| part.lines()).collect();
        for (number, (command, wanted)) in commands.iter().enumerate() {
            let background = command.trim_end().ends_with('&');
            let mine: Vec<&str> = printed.get(number).map(|part| part.lines().collect()).unwrap_or_default();
            let mut lines = if background { all.iter() } else { mine.iter() };
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
fn the_first_screen_of_the_readme_is_complete() {
    let text = std::fs::read_to_string(root().join("README.md")).expect("there is no README.md at the top");
    let rules = blocks(&text, "rego");
    assert!(rules.first().is_some_and(|rule| (5..=12).contains(&rule.lines().count())), "about eight lines of Rego come first");
    assert!(text.contains("31001") || text.contains("policy_denied"), "the deny that it prints is shown");
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
