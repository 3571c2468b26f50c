use super::{plan, validate};
use crate::{Error, HealthConfig, MetricsConfig};

fn sections(
    edit: impl FnOnce(&mut MetricsConfig, &mut HealthConfig),
) -> (MetricsConfig, HealthConfig) {
    let mut metrics = MetricsConfig { enabled: true, ..MetricsConfig::default() };
    let mut health = HealthConfig { enabled: true, ..HealthConfig::default() };
    edit(&mut metrics, &mut health);
    (metrics, health)
}

/// Which ports are opened: port, metrics there, probes there.
#[track_caller]
fn check_plan(
    edit: impl FnOnce(&mut MetricsConfig, &mut HealthConfig),
    expected: &[(u16, bool, bool)],
) {
    let (metrics, health) = sections(edit);
    let planned: Vec<_> = plan(&metrics, &health)
        .unwrap()
        .iter()
        .map(|it| (it.port, it.has_metrics(), it.has_probes()))
        .collect();
    assert_eq!(planned, expected);
}

#[test]
fn sections_have_their_own_port_unless_they_name_the_same() {
    check_plan(|_, _| (), &[(9090, true, false), (8080, false, true)]);
    check_plan(|_, health| health.port = 9090, &[(9090, true, true)]);
    check_plan(
        |_, health| (health.port, health.address) = (9090, "::1".into()),
        &[(9090, true, false), (9090, false, true)],
    );
    check_plan(
        |metrics, health| (metrics.port, health.port) = (0, 0),
        &[(0, true, false), (0, false, true)],
    );
    check_plan(|metrics, _| metrics.enabled = false, &[(8080, false, true)]);
    check_plan(|_, health| health.enabled = false, &[(9090, true, false)]);
    check_plan(|metrics, health| (metrics.enabled, health.enabled) = (false, false), &[]);
}

/// What is said of the sections; nothing when they are right.
#[track_caller]
fn check_errors(edit: impl FnOnce(&mut MetricsConfig, &mut HealthConfig), expected: &[&str]) {
    let (metrics, health) = sections(edit);
    let errors: Vec<_> = validate(&metrics, &health).iter().map(Error::to_string).collect();
    assert_eq!(errors.len(), expected.len(), "{errors:?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(plan(&metrics, &health).is_err(), !expected.is_empty());
}

#[test]
fn paths_are_checked() {
    check_errors(|_, _| (), &[]);
    check_errors(|metrics, _| metrics.path = "/a/b-c_d.e~1/".into(), &[]);
    check_errors(
        |metrics, _| metrics.path = "metrics".into(),
        &["`metrics.path`: `metrics` is not a path"],
    );
    check_errors(|metrics, _| metrics.path = String::new(), &["`metrics.path`: `` is not a path"]);
    check_errors(|metrics, _| metrics.path = "/{all}".into(), &["`metrics.path`"]);
    check_errors(|metrics, _| metrics.path = "/:all".into(), &["`metrics.path`"]);
    check_errors(|metrics, _| metrics.path = "/*all".into(), &["`metrics.path`"]);
    check_errors(
        |_, health| (health.liveness_path, health.readiness_path) = ("a".into(), "/é".into()),
        &["`health.liveness_path`", "`health.readiness_path`"],
    );
}

#[test]
fn one_address_has_one_page() {
    check_errors(
        |_, health| health.readiness_path = "/health".into(),
        &["`health.readiness_path` and `health.liveness_path` are both `/health`"],
    );
    check_errors(|metrics, _| metrics.path = "/ready".into(), &[]);
    check_errors(
        |metrics, health| (metrics.path, metrics.port) = ("/ready".into(), health.port),
        &["`metrics.path` and `health.readiness_path` are both `/ready`"],
    );
    check_errors(
        |metrics, health| (metrics.path, metrics.port) = ("/health".into(), health.port),
        &["`metrics.path` and `health.liveness_path` are both `/health`"],
    );
}

#[tokio::test]
async fn a_port_in_use_is_an_error_with_a_remedy() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let (metrics, health) = sections(|metrics, health| (metrics.port, health.port) = (port, port));
    for (metrics, health, keys) in [
        (metrics.clone(), HealthConfig::default(), "`metrics.port`"),
        (MetricsConfig::default(), health.clone(), "`health.port`"),
        (metrics, health, "`metrics.port` and `health.port`"),
    ] {
        let endpoint = plan(&metrics, &health).unwrap().remove(0);
        let error = endpoint.bind().await.unwrap_err();
        assert!(matches!(error, Error::Bind { .. }));
        let text = error.to_string();
        let start = format!("{keys}: cannot listen on `127.0.0.1:{port}`: ");
        assert!(text.starts_with(&start), "{text}");
        assert!(text.ends_with("; set another port or stop what uses this one"), "{text}");
    }
}

#[tokio::test]
async fn an_address_of_another_machine_is_an_error() {
    let (metrics, health) =
        sections(|metrics, _| (metrics.address, metrics.port) = ("192.0.2.1".into(), 0));
    let error = plan(&metrics, &health).unwrap().remove(0).bind().await.unwrap_err();
    assert!(error.to_string().ends_with("; name an address of this machine"), "{error}");
}

#[tokio::test]
async fn host_names_and_ipv6_addresses_are_bound() {
    for address in ["localhost", "[::1]", "::1", "127.0.0.1"] {
        let (metrics, health) =
            sections(|metrics, _| (metrics.address, metrics.port) = (address.into(), 0));
        let bound = plan(&metrics, &health).unwrap().remove(0).bind().await;
        match bound {
            Ok(listener) => assert!(listener.local_addr().unwrap().ip().is_loopback()),
            // A machine without IPv6 says so; it must not be a matter of spelling.
            Err(error) => assert!(error.to_string().contains("`[::1]:0`"), "{error}"),
        }
    }
}
