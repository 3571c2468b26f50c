use super::*;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.upstream.url = Some("http://name:word@server.example:8080/mcp?key=secret".to_owned());
    settings
}

fn addresses(port: u16) -> Addresses {
    Addresses {
        data: Some(SocketAddr::from(([127, 0, 0, 1], port))),
        health: Some(SocketAddr::from(([127, 0, 0, 1], 8081))),
        metrics: None,
        admin: None,
    }
}

#[test]
fn the_banner_says_what_serves_where() {
    let shown = banner(&addresses(3000), Some("0123456789abcdef"), &settings());
    assert_eq!(
        shown,
        "listening on http://127.0.0.1:3000/mcp (Streamable HTTP), http://127.0.0.1:3000/sse (HTTP+SSE) and ws://127.0.0.1:3000/ws (WebSocket)\n\
         upstream  default: http://server.example:8080/mcp\n\
         probes    on http://127.0.0.1:8081/ready\n\
         policy    enforce mode, revision 0123456789ab\n\
         audit log audit.db"
    );
}

#[track_caller]
fn check_endpoints(served: Served, line: &str) {
    let mut settings = settings();
    settings.server.transport = served;
    assert_eq!(banner(&addresses(3000), None, &settings).lines().next(), Some(line));
}

#[test]
fn only_what_is_served_is_announced() {
    check_endpoints(Served::Http, "listening on http://127.0.0.1:3000/mcp (Streamable HTTP)");
    check_endpoints(Served::Sse, "listening on http://127.0.0.1:3000/sse (HTTP+SSE)");
    check_endpoints(Served::WebSocket, "listening on ws://127.0.0.1:3000/ws (WebSocket)");
    let stdio = Addresses { data: None, ..addresses(0) };
    let shown = banner(&stdio, None, &settings());
    assert!(shown.starts_with("listening on standard input\n"), "{shown}");
}

#[track_caller]
fn check_place(url: Option<&str>, command: &[&str], shown: &str) {
    let upstream = upstream::Config {
        url: url.map(str::to_owned),
        command: command.iter().map(|&part| part.to_owned()).collect(),
        ..Default::default()
    };
    assert_eq!(place(&upstream), shown);
}

#[test]
fn the_place_of_the_server_shows_no_secret() {
    check_place(Some("http://user:word@[::1]:80/mcp?token=x"), &[], "http://[::1]:80/mcp");
    check_place(Some("https://server.example"), &[], "https://server.example/");
    check_place(None, &["/usr/bin/npx", "-y", "--token=x"], "npx");
}

#[track_caller]
fn check_suggestions(port: u16, db_path: &str, hints: &[&str]) {
    let mut settings = settings();
    settings.audit.db_path = db_path.into();
    let text = suggestions(SocketAddr::from(([127, 0, 0, 1], port)), &settings);
    let lines: Vec<_> = text.lines().filter(|line| line.contains('#')).collect();
    let column = |line: &&str| line.find('#');
    assert!(lines.iter().map(column).all(|at| at == column(&lines[0])), "{text}");
    let commands = lines.iter().map(|line| line.split('#').next().unwrap().trim());
    let program = std::env::args().next().unwrap();
    let hints = hints.iter().map(|hint| format!("{program} {hint}"));
    assert!(commands.eq(hints), "{text}");
}

#[test]
fn the_suggestions_find_the_gateway_and_its_log() {
    check_suggestions(
        3000,
        "audit.db",
        &[
            "call read_file path=welcome.txt",
            "call write_file path=notes.txt text=hello",
            "audit query --method tools/call",
        ],
    );
    check_suggestions(
        4000,
        "/tmp/it's here/a.db",
        &[
            "call --url http://127.0.0.1:4000/mcp read_file path=welcome.txt",
            "call --url http://127.0.0.1:4000/mcp write_file path=notes.txt text=hello",
            "audit query --db '/tmp/it'\\''s here/a.db' --method tools/call",
        ],
    );
}

#[test]
fn nothing_is_suggested_that_cannot_work() {
    let mut settings = settings();
    let address = SocketAddr::from(([127, 0, 0, 1], 3000));
    settings.audit.enabled = false;
    assert!(!suggestions(address, &settings).contains("audit query"));
    for served in [Served::Sse, Served::WebSocket] {
        settings.server.transport = served;
        assert!(!suggestions(address, &settings).contains(" call "));
    }
}

/// What `--env` with these names comes to while `SET` alone is set.
fn inherited(names: &[&str]) -> anyhow::Result<Vec<String>> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    check_inherited(&names, &BTreeMap::from([("SET".to_owned(), String::new())]))
}

#[test]
fn a_variable_to_inherit_is_a_name_that_is_set() {
    assert_eq!(inherited(&[]).unwrap(), Vec::<String>::new());
    assert_eq!(inherited(&["SET"]).unwrap(), Vec::<String>::new());
    let warnings = inherited(&["SET", "TOKEN"]).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("`--env TOKEN`: the variable is not set"), "{warnings:?}");
}

#[test]
fn a_value_on_the_command_line_is_refused_and_not_repeated() {
    let error = inherited(&["SET", "TOKEN=hunter2"]).unwrap_err().to_string();
    assert!(error.contains("write `--env TOKEN`") && !error.contains("hunter2"), "{error}");
}

#[test]
fn the_server_inherits_what_is_named_and_a_missing_variable_is_warned_of() {
    let args = |env: &str| ServerArgs {
        config: None,
        upstream: None,
        env: vec![env.to_owned()],
        command: vec!["server".to_owned()],
    };
    let loaded = load(args("TOKEN"), &BTreeMap::new()).unwrap();
    assert!(loaded.settings.upstream.env_allow.contains(&"TOKEN".to_owned()));
    assert!(loaded.warnings.iter().any(|warning| warning.contains("`--env TOKEN`")));
    assert!(load(args("TOKEN=hunter2"), &BTreeMap::new()).is_err());
}
