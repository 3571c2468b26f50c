use super::{Endpoint, Sections, plan};
use crate::{AdminConfig, Error, HealthConfig, MetricsConfig};

/// The sections, all switched on.
struct Configured {
    metrics: MetricsConfig,
    health: HealthConfig,
    admin: AdminConfig,
}

impl Configured {
    fn new(edit: impl FnOnce(&mut Self)) -> Self {
        let mut sections = Self {
            metrics: MetricsConfig { enabled: true, ..MetricsConfig::default() },
            health: HealthConfig { enabled: true, ..HealthConfig::default() },
            admin: AdminConfig { enabled: true, ..AdminConfig::default() },
        };
        edit(&mut sections);
        sections
    }

    fn sections(&self) -> Sections<'_> {
        Sections { metrics: &self.metrics, health: &self.health, admin: &self.admin }
    }

    fn plan(&self) -> Result<Vec<Endpoint>, Error> {
        plan(self.sections())
    }
}

/// Which ports are opened: port, and what is there (`m`etrics, `p`robes, `c`ontrol).
#[track_caller]
fn check_plan(edit: impl FnOnce(&mut Configured), expected: &[(u16, &str)]) {
    let planned: Vec<_> = Configured::new(edit)
        .plan()
        .unwrap()
        .iter()
        .map(|it| {
            let parts = [("m", it.has_metrics()), ("p", it.has_probes()), ("c", it.has_control())];
            let there = parts.iter().filter(|(_, there)| *there).map(|(part, _)| *part);
            (it.port, there.collect::<String>())
        })
        .collect();
    let expected: Vec<_> =
        expected.iter().map(|(port, parts)| (*port, (*parts).to_owned())).collect();
    assert_eq!(planned, expected);
}

#[test]
fn sections_have_their_own_port_unless_they_name_the_same() {
    check_plan(|_| (), &[(9090, "m"), (8080, "p"), (8081, "c")]);
    check_plan(|it| it.health.port = 9090, &[(9090, "mp"), (8081, "c")]);
    check_plan(|it| (it.health.port, it.admin.port) = (9090, 9090), &[(9090, "mpc")]);
    check_plan(|it| it.admin.port = 8080, &[(9090, "m"), (8080, "pc")]);
    check_plan(
        |it| (it.health.port, it.health.address) = (9090, "::1".into()),
        &[(9090, "m"), (9090, "p"), (8081, "c")],
    );
    check_plan(
        |it| (it.metrics.port, it.health.port, it.admin.port) = (0, 0, 0),
        &[(0, "m"), (0, "p"), (0, "c")],
    );
    check_plan(|it| it.metrics.enabled = false, &[(8080, "p"), (8081, "c")]);
    check_plan(|it| it.health.enabled = false, &[(9090, "m"), (8081, "c")]);
    check_plan(
        |it| (it.metrics.enabled, it.health.enabled, it.admin.enabled) = (false, false, false),
        &[],
    );
}

/// What is said of the sections; nothing when they are right.
#[track_caller]
fn check_errors(edit: impl FnOnce(&mut Configured), expected: &[&str]) {
    let configured = Configured::new(edit);
    let problems = configured.sections().problems();
    let errors: Vec<_> = problems.iter().map(Error::to_string).collect();
    assert_eq!(errors.len(), expected.len(), "{errors:?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(configured.plan().is_err(), !expected.is_empty());
}

#[test]
fn paths_are_checked() {
    check_errors(|_| (), &[]);
    check_errors(|it| it.metrics.path = "/a/b-c_d.e~1/".into(), &[]);
    check_errors(
        |it| it.metrics.path = "metrics".into(),
        &["`metrics.path`: `metrics` is not a path"],
    );
    check_errors(|it| it.metrics.path = String::new(), &["`metrics.path`: `` is not a path"]);
    check_errors(|it| it.metrics.path = "/{all}".into(), &["`metrics.path`"]);
    check_errors(|it| it.metrics.path = "/:all".into(), &["`metrics.path`"]);
    check_errors(|it| it.metrics.path = "/*all".into(), &["`metrics.path`"]);
    check_errors(
        |it| (it.health.liveness_path, it.health.readiness_path) = ("a".into(), "/é".into()),
        &["`health.liveness_path`", "`health.readiness_path`"],
    );
}

#[test]
fn one_address_has_one_page() {
    check_errors(
        |it| it.health.readiness_path = "/health".into(),
        &["`health.readiness_path` and `health.liveness_path` are both `/health`"],
    );
    check_errors(|it| it.metrics.path = "/ready".into(), &[]);
    check_errors(
        |it| (it.metrics.path, it.metrics.port) = ("/ready".into(), it.health.port),
        &["`metrics.path` and `health.readiness_path` are both `/ready`"],
    );
    check_errors(
        |it| (it.metrics.path, it.metrics.port) = ("/health".into(), it.health.port),
        &["`metrics.path` and `health.liveness_path` are both `/health`"],
    );
}

#[tokio::test]
async fn a_port_in_use_is_an_error_with_a_remedy() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    for (there, keys) in [
        ("m", "`metrics.port`"),
        ("p", "`health.port`"),
        ("c", "`admin.port`"),
        ("mpc", "`metrics.port` and `health.port` and `admin.port`"),
    ] {
        let configured = Configured::new(|it| {
            it.metrics.enabled = there.contains('m');
            it.health.enabled = there.contains('p');
            it.admin.enabled = there.contains('c');
            (it.metrics.port, it.health.port, it.admin.port) = (port, port, port);
        });
        let error = configured.plan().unwrap().remove(0).bind().await.unwrap_err();
        assert!(matches!(error, Error::Bind { .. }));
        let text = error.to_string();
        let start = format!("{keys}: cannot listen on `127.0.0.1:{port}`: ");
        assert!(text.starts_with(&start), "{text}");
        assert!(text.ends_with("; set another port or stop what uses this one"), "{text}");
    }
}

#[tokio::test]
async fn an_address_of_another_machine_is_an_error() {
    let configured =
        Configured::new(|it| (it.metrics.address, it.metrics.port) = ("192.0.2.1".into(), 0));
    let error = configured.plan().unwrap().remove(0).bind().await.unwrap_err();
    assert!(error.to_string().ends_with("; name an address of this machine"), "{error}");
}

#[tokio::test]
async fn host_names_and_ipv6_addresses_are_bound() {
    for address in ["localhost", "[::1]", "::1", "127.0.0.1"] {
        let configured =
            Configured::new(|it| (it.metrics.address, it.metrics.port) = (address.into(), 0));
        let bound = configured.plan().unwrap().remove(0).bind().await;
        match bound {
            Ok(listener) => assert!(listener.local_addr().unwrap().ip().is_loopback()),
            // A machine without IPv6 says so; it must not be a matter of spelling.
            Err(error) => assert!(error.to_string().contains("`[::1]:0`"), "{error}"),
        }
    }
}

#[test]
fn operators_are_served_on_loopback_only() {
    for address in ["127.0.0.1", "127.8.8.8", "::1", "[::1]"] {
        check_errors(|it| it.admin.address = address.into(), &[]);
    }
    for address in ["0.0.0.0", "::", "192.0.2.1", "localhost", "gateway.example", ""] {
        let expected = format!("`admin.address`: `{address}` is not of this machine only");
        check_errors(|it| it.admin.address = address.into(), &[&expected]);
    }
    check_errors(|it| (it.admin.enabled, it.admin.address) = (false, "0.0.0.0".into()), &[]);
}

#[test]
fn the_pages_for_operators_have_their_place() {
    check_errors(
        |it| it.metrics.path = "/api/v1/policy".into(),
        &["`metrics.path`: `/api/v1/policy` is where `admin` serves its pages"],
    );
    check_errors(|it| (it.admin.enabled, it.metrics.path) = (false, "/api/v1/policy".into()), &[]);
}
