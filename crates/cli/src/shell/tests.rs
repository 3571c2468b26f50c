use clap_complete::Shell;

use super::*;
use crate::tests::command_paths;

#[track_caller]
fn check_completions(shell: Shell, starts: &str) {
    let script = completion_script(shell).unwrap();
    assert!(script.starts_with(starts), "{shell}: {:?}", script.lines().next());
    for word in ["demo-server", "policy", "eval", "decision-id", "follow"] {
        assert!(script.contains(word), "{shell} does not complete `{word}`");
    }
}

#[test]
fn each_shell_has_completions() {
    check_completions(Shell::Bash, "_mcp__proxy()");
    check_completions(Shell::Zsh, "#compdef mcp-proxy");
    check_completions(Shell::Fish, "# Print an optspec");
}

#[test]
fn each_command_has_a_page() {
    for path in command_paths() {
        let page = manual_page(&path).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH OPTIONS"), "{path:?}:\n{page}");
        let title = std::iter::once("mcp-proxy").chain(path.iter().map(String::as_str));
        let title = title.collect::<Vec<_>>().join("-");
        assert!(page.contains(&format!(".TH {title} 1")), "{title}:\n{page}");
    }
}

#[test]
fn a_page_of_no_command_is_refused() {
    let error = manual_page(&["audit".to_owned(), "quary".to_owned()]).unwrap_err();
    assert!(error.to_string().contains("`quary`"), "{error}");
}
