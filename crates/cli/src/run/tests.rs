use super::*;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.upstream.url = Some("http://name:word@server.example:8080/mcp?key=secret".to_owned());
    settings
}

fn addresses(port: u16) -> Addresses {
    Addresses {
        data: SocketAddr::from(([127, 0, 0, 1], port)),
        health: Some(SocketAddr::from(([127, 0, 0, 1], 8081))),
        metrics: None,
    }
}

#[test]
fn the_banner_says_what_serves_where() {
    let shown = banner(&addresses(3000), Some("0123456789abcdef"), &settings());
    assert_eq!(
        shown,
        "listening on http://127.0.0.1:3000/mcp (Streamable HTTP) and http://127.0.0.1:3000/sse (HTTP+SSE)\n\
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
    let text = suggestions(addresses(port).data, &settings);
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
    settings.audit.enabled = false;
    assert!(!suggestions(addresses(3000).data, &settings).contains("audit query"));
    settings.server.transport = Served::Sse;
    assert!(!suggestions(addresses(3000).data, &settings).contains(" call "));
}
