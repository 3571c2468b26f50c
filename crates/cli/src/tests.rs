use clap::{Command as Clap, CommandFactory};

use super::*;

/// The words of every command, as `["audit", "query"]`; the program itself has none.
pub(crate) fn command_paths() -> Vec<Vec<String>> {
    fn collect(command: &Clap, path: &[String], paths: &mut Vec<Vec<String>>) {
        paths.push(path.to_vec());
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            let path = [path, &[below.get_name().to_owned()]].concat();
            collect(below, &path, paths);
        }
    }
    let mut paths = Vec::new();
    collect(&Cli::command(), &[], &mut paths);
    paths
}

#[test]
fn the_table_of_commands_is_sound() {
    Cli::command().debug_assert();
    assert!(command_paths().len() > 15, "{:?}", command_paths());
}

#[test]
fn the_help_of_every_command_is_stable() {
    let mut program = Cli::command().term_width(100);
    program.build();
    for path in command_paths() {
        let mut command = &mut program;
        for name in &path {
            command = command.find_subcommand_mut(name).unwrap();
        }
        let short = command.render_help();
        let long = command.render_long_help();
        let name = ["help".to_owned()].into_iter().chain(path).collect::<Vec<_>>().join("_");
        insta::assert_snapshot!(name, format!("{short}\n---- --help ----\n\n{long}"));
    }
}

#[track_caller]
fn check_accepted(line: &str) {
    if let Err(error) = parse(line.split(' ')) {
        panic!("{error}");
    }
}

#[track_caller]
fn check_refused(line: &str, mentions: &str) {
    let error = parse(line.split(' ')).unwrap_err();
    assert_eq!(error.exit_code(), i32::from(COULD_NOT_ANSWER), "{error}");
    assert!(error.to_string().contains(mentions), "{error}");
}

#[test]
fn what_the_documentation_writes_is_accepted() {
    check_accepted("mcp-proxy");
    check_accepted("mcp-proxy --config config/proxy.yaml");
    check_accepted("mcp-proxy run --config config/proxy.yaml");
    check_accepted("mcp-proxy run --upstream http://localhost:8080/mcp");
    check_accepted("mcp-proxy run -- npx -y @modelcontextprotocol/server-everything");
    check_accepted("mcp-proxy wrap -- npx -y @modelcontextprotocol/server-everything");
    check_accepted("mcp-proxy wrap --env GITHUB_TOKEN -e HOST -- github-mcp-server stdio");
    check_accepted("mcp-proxy wrap --upstream https://mcp.example.com/mcp");
    check_accepted("mcp-proxy config validate --config config.yaml --check-upstream");
    check_accepted("mcp-proxy config show --format json");
    check_accepted("mcp-proxy config schema");
    check_accepted("mcp-proxy config init");
    check_accepted("mcp-proxy policy test policies --run a|b -v");
    check_accepted("mcp-proxy policy eval -d docs/examples/drafts -i docs/examples/write.json");
    check_accepted("mcp-proxy policy eval -d policies -i input.json --format json");
    check_accepted("mcp-proxy policy eval -d policies -i input.json --explain full");
    check_accepted("mcp-proxy policy check --strict policies --format github");
    check_accepted("mcp-proxy policy test policies --coverage --threshold 100 --format junit");
    check_accepted("mcp-proxy policy explain 0b5a7c1e --db audit.db --policies next");
    check_accepted("mcp-proxy policy explain --reads -d policies");
    check_accepted("mcp-proxy policy bench -d policies -i input.json --count 100000");
    check_accepted("mcp-proxy policy replay --db audit.db --policies new --since 7d");
    check_accepted("mcp-proxy policy learn --db audit.db --out learned --since 30d");
    check_accepted("mcp-proxy policy learn --db audit.db --unused -d policies");
    check_accepted("mcp-proxy policy bundle policies -o b.tar.gz --revision 7 --root mcp/policy");
    check_accepted("mcp-proxy policy sign b.tar.gz --signing-key k.pem --signing-alg ES256");
    check_accepted("mcp-proxy policy approve 3f9c01d2a4b7");
    check_accepted("mcp-proxy approvals grant 0b5a7c1e --scope tool --for 8h --uses 20");
    check_accepted("mcp-proxy lockdown on --config config/proxy.yaml");
    check_accepted("mcp-proxy audit query --decision deny --since 2h");
    check_accepted("mcp-proxy audit query --decision-id 0b5a7c1e");
    check_accepted("mcp-proxy audit query --db audit.db --format json --limit 100000");
    check_accepted("mcp-proxy audit tail -f -n 0 --agent claude");
    check_accepted("mcp-proxy call tools/list");
    check_accepted("mcp-proxy call --url http://127.0.0.1:3000/mcp read_file path=a=b");
    check_accepted("mcp-proxy demo-server --listen 127.0.0.1:0");
    check_accepted("mcp-proxy explain");
    check_accepted("mcp-proxy explain policy_denied");
    check_accepted("mcp-proxy completions zsh");
    check_accepted("mcp-proxy man audit query");
}

#[test]
fn what_has_no_meaning_is_refused() {
    check_refused("mcp-proxy serve", "serve");
    check_refused("mcp-proxy --config a run", "run");
    check_refused("mcp-proxy run --upstream http://a -- command", "--upstream");
    check_refused("mcp-proxy run npx", "npx");
    check_refused("mcp-proxy policy test", "<DIR>");
    check_refused("mcp-proxy policy test policies --run (", "unclosed group");
    check_refused("mcp-proxy policy eval -d policies", "--input");
    check_refused("mcp-proxy policy eval -d policies -c a.yaml -i -", "--config");
    check_refused("mcp-proxy policy explain", "<DECISION_ID>");
    check_refused("mcp-proxy policy explain 0b5a7c1e --reads", "--reads");
    check_refused("mcp-proxy policy eval -i - --explain why", "notes, fails, full");
    check_refused("mcp-proxy policy bench -i - --count 0", "--count");
    check_refused("mcp-proxy policy learn", "--out");
    check_refused("mcp-proxy policy bundle policies --key-id a", "--signing-key");
    check_refused("mcp-proxy policy sign b.tar.gz", "--signing-key");
    check_refused("mcp-proxy audit query --db a --config b", "--config");
    check_refused(
        "mcp-proxy audit query --decision maybe",
        "possible values: allow, deny, would_deny, error",
    );
    check_refused("mcp-proxy audit query --since yesterday", "`2h`");
    check_refused("mcp-proxy audit query --limit -1", "-1");
    check_refused("mcp-proxy call read_file welcome.txt", "key=value");
    check_refused("mcp-proxy call tools/list --timeout soon", "100ms");
    check_refused("mcp-proxy completions tcsh", "tcsh");
    check_refused("mcp-proxy explain policy_denid", "'policy_denied'");
}

#[test]
fn a_command_without_dashes_is_told_of_them() {
    let tip = "write the server's command after `--`";
    check_refused("mcp-proxy wrap npx -y foo", "'npx'");
    check_refused("mcp-proxy wrap npx -y foo", tip);
    check_refused("mcp-proxy wrap --env TOKEN npx -y foo", tip);
    check_refused("mcp-proxy run npx", tip);
    check_refused("mcp-proxy npx -y foo", tip);
    for line in ["wrap --upsteam http://a", "run -x", "demo-server npx", "call a --foo"] {
        let error = parse(format!("mcp-proxy {line}").split(' ')).unwrap_err().to_string();
        assert!(!error.contains(tip), "{error}");
    }
}
