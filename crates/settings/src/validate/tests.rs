use domain::Span;
use observability::Output;
use transport_http::Served;

use super::problems;
use crate::Settings;

/// Expects the changed defaults to have exactly these problems, by how they begin.
#[track_caller]
fn check(edit: impl FnOnce(&mut Settings), expected: &[&str]) {
    let mut settings = Settings::default();
    edit(&mut settings);
    let problems = problems(&settings);
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}\ndoes not begin with\n{expected}");
    }
    assert_eq!(settings.validate().is_err(), !expected.is_empty());
}

fn ports(settings: &mut Settings, server: u16, metrics: u16, health: u16) {
    (settings.metrics.enabled, settings.health.enabled) = (true, true);
    settings.server.listen.port = server;
    (settings.metrics.port, settings.health.port) = (metrics, health);
}

#[test]
fn the_defaults_are_valid() {
    check(|_| (), &[]);
}

#[test]
fn ports_do_not_collide() {
    check(|it| ports(it, 3000, 9090, 8080), &[]);
    check(|it| ports(it, 0, 0, 0), &[]);
    check(|it| ports(it, 3000, 9090, 9090), &[]);
    check(
        |it| ports(it, 3000, 3000, 8080),
        &["`metrics.port` and `server.listen.port` are both `3000`; set another port"],
    );
    check(
        |it| ports(it, 3000, 9090, 3000),
        &["`health.port` and `server.listen.port` are both `3000`"],
    );
    check(
        |it| {
            ports(it, 3000, 3000, 3000);
            (it.metrics.enabled, it.health.enabled) = (false, false);
        },
        &[],
    );
    check(
        |it| {
            ports(it, 3000, 3000, 8080);
            it.server.listen.address = "0.0.0.0".into();
        },
        &["`metrics.port` and `server.listen.port`"],
    );
    check(
        |it| {
            ports(it, 3000, 3000, 8080);
            it.metrics.address = "192.0.2.1".into();
        },
        &[],
    );
    check(
        |it| {
            ports(it, 3000, 9090, 9090);
            it.health.address = "::".into();
        },
        &["`health.port` and `metrics.port` are both `9090`"],
    );
}

#[test]
fn addresses_are_addresses() {
    for address in ["127.0.0.1", "::1", "[::1]", "localhost", "gate.example.com", "my_host"] {
        check(|it| it.metrics.address = address.into(), &[]);
    }
    for address in ["", "127.0.0.1:9090", "http://x", "a b", "[::1"] {
        check(|it| it.metrics.address = address.into(), &["`metrics.address`: `"]);
        check(|it| it.health.address = address.into(), &["`health.address`: `"]);
    }
    check(
        |it| it.server.listen.address = "0.0.0.0:3000".into(),
        &[
            "`server.listen.address`: `0.0.0.0:3000` is not an IP address or host name; write for example `127.0.0.1`",
        ],
    );
}

#[test]
fn one_server_is_named_in_one_way() {
    let url = "http://127.0.0.1:8081/mcp";
    check(|it| it.upstream.url = Some(url.into()), &[]);
    check(|it| it.upstream.command = vec!["server".into()], &[]);
    check(
        |it| (it.upstream.url, it.upstream.command) = (Some(url.into()), vec!["server".into()]),
        &["`upstream.url` and `upstream.command` are both set"],
    );
    check(|it| it.upstream.url = Some("server:8080".into()), &["`upstream.url` "]);
    check(
        |it| (it.upstream.url, it.upstream.timeout) = (Some(url.into()), Span::secs(0)),
        &["`upstream.timeout`"],
    );
}

#[test]
fn values_of_the_server_are_checked_without_one_too() {
    check(
        |it| it.upstream.timeout = Span::secs(0),
        &["`upstream.timeout` cannot be used: `0s` leaves no time; write for example `30s`"],
    );
    check(
        |it| it.upstream.max_message_bytes = 0,
        &["`upstream.max_message_bytes` cannot be used: 0 lets nothing pass; write 1 or more"],
    );
    check(
        |it| it.upstream.retry.max_attempts = 0,
        &["`upstream.retry.max_attempts` cannot be used: 0 never connects; write 1 or more"],
    );
    check(|it| it.upstream.name.clear(), &["`upstream.name`"]);
}

#[test]
fn the_gateway_is_not_its_own_server() {
    let own = |url: &'static str| move |it: &mut Settings| it.upstream.url = Some(url.into());
    let expected = "`upstream.url`: `";
    check(own("http://localhost:3000/mcp"), &[expected]);
    check(own("http://127.0.0.1:3000"), &[expected]);
    check(own("http://[::1]:3000/sse?x"), &[expected]);
    check(own("http://127.0.0.1:3001/mcp"), &[]);
    check(own("http://other.example:3000/mcp"), &[]);
    let beside = |url: &'static str| {
        move |it: &mut Settings| {
            ports(it, 3000, 9090, 8080);
            it.upstream.url = Some(url.into());
        }
    };
    check(
        beside("http://localhost:8080/mcp"),
        &[
            "`upstream.url`: `http://localhost:8080/mcp` is the gateway's own address, by `health.port`; name",
        ],
    );
    check(
        beside("http://127.0.0.1:9090/mcp"),
        &[
            "`upstream.url`: `http://127.0.0.1:9090/mcp` is the gateway's own address, by `metrics.port`; name",
        ],
    );
    check(beside("http://localhost:8000/mcp"), &[]);
    check(beside("http://other.example:8080/mcp"), &[]);
    check(own("http://localhost:8080/mcp"), &[]);
}

#[test]
fn other_sections_are_asked() {
    check(|it| it.server.read_timeout = Span::secs(0), &["`server.read_timeout`: "]);
    check(
        |it| it.policy.evaluation.timeout = Span::secs(60),
        &["`policy.evaluation.timeout` is `1m`"],
    );
    check(|it| it.audit.db_path = "".into(), &["`audit.db_path`"]);
    check(|it| it.metrics.path = "metrics".into(), &["`metrics.path`: `metrics` is not a path"]);
    check(
        |it| it.health.readiness_path = "/health".into(),
        &["`health.readiness_path` and `health.liveness_path`"],
    );
    check(
        |it| it.session.idle_timeout = Span::secs(100_000),
        &[
            "`session.idle_timeout`: `1day3h46m40s` is longer than `session.ttl`, which is `1day`; shorten it",
        ],
    );
    check(|it| it.session.ttl = Span::secs(0), &[]);
    check(
        |it| {
            it.logging.output = Output::File;
            it.logging.file.path = "".into();
        },
        &["`logging.file.path`: it is empty; name a file"],
    );
    check(|it| it.logging.file.path = "".into(), &[]);
}

#[test]
fn a_client_on_standard_input_needs_no_port_and_standard_output_for_itself() {
    let stdio = |it: &mut Settings| it.server.transport = Served::Stdio;
    check(
        |it| {
            ports(it, 3000, 3000, 8080);
            stdio(it);
        },
        &[],
    );
    let to_stdout = |it: &mut Settings| it.logging.output = Output::Stdout;
    check(to_stdout, &[]);
    check(
        |it| {
            stdio(it);
            to_stdout(it);
        },
        &["`logging.output`: standard output carries the messages"],
    );
}

#[test]
fn everything_is_told_at_once() {
    check(
        |it| {
            it.audit.db_path = "".into();
            it.metrics.path = "x".into();
            it.health.address = "".into();
        },
        &["`audit.db_path`", "`metrics.path`", "`health.address`"],
    );
}

#[test]
fn the_port_of_operators_is_checked_like_the_others() {
    let with = |port| {
        move |it: &mut Settings| {
            ports(it, 3000, 9090, 8080);
            (it.admin.enabled, it.admin.port) = (true, port);
        }
    };
    check(with(8081), &[]);
    check(with(9090), &[]);
    check(with(3000), &["`admin.port` and `server.listen.port` are both `3000`"]);
    check(
        |it| (it.admin.enabled, it.admin.address) = (true, "0.0.0.0".into()),
        &["`admin.address`: `0.0.0.0` is not of this machine only"],
    );
    check(
        |it| {
            with(8081)(it);
            it.upstream.url = Some("http://127.0.0.1:8081/mcp".to_owned());
        },
        &[
            "`upstream.url`: `http://127.0.0.1:8081/mcp` is the gateway's own address, by `admin.port`",
        ],
    );
}
