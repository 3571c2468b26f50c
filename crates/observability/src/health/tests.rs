use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use domain::{Clock, Health, Probe};

use super::{HealthRegistry, Status};

/// Stands still, except that each look at the monotonic clock takes 250 microseconds.
struct SlowClock {
    now: Mutex<Instant>,
}

impl SlowClock {
    #[expect(clippy::disallowed_methods, reason = "an instant to count from, whichever it is")]
    fn new() -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(Instant::now()) })
    }
}

impl Clock for SlowClock {
    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    fn monotonic(&self) -> Instant {
        let mut now = self.now.lock().unwrap();
        *now += Duration::from_micros(250);
        *now
    }
}

struct Part(&'static str, Mutex<Health>);

impl Part {
    fn new(name: &'static str, health: Health) -> Arc<Self> {
        Arc::new(Self(name, Mutex::new(health)))
    }
}

impl Probe for Part {
    fn name(&self) -> &'static str {
        self.0
    }

    fn health(&self) -> Health {
        self.1.lock().unwrap().clone()
    }
}

fn down(why: &str) -> Health {
    Health::Down(why.to_owned())
}

/// What `/ready` says of a gateway that is ready and has these parts.
#[track_caller]
fn check(parts: &[(&'static str, Health)], expected: Status) {
    let probes =
        parts.iter().map(|(name, health)| Part::new(name, health.clone()) as Arc<dyn Probe>);
    let registry = HealthRegistry::new(SlowClock::new(), probes.collect());
    registry.set_ready();
    assert_eq!(registry.report().status, expected, "{parts:?}");
}

#[test]
fn ready_means_that_every_part_is_up() {
    check(&[], Status::Healthy);
    check(&[("audit", Health::Up), ("policy", Health::Up)], Status::Healthy);
    check(&[("audit", Health::Up), ("policy", down("no rules"))], Status::Unhealthy);
    check(&[("audit", down("full")), ("audit", Health::Up)], Status::Unhealthy);
    check(&[("audit", Health::Up), ("audit", down("full"))], Status::Unhealthy);
    check(&[("gateway", down("named like the gateway itself"))], Status::Unhealthy);
}

#[test]
fn readiness_follows_the_life_of_the_gateway_and_liveness_does_not() {
    let registry = HealthRegistry::new(SlowClock::new(), Vec::new());
    let gateway = || registry.report().components["gateway"].clone();
    assert_eq!(gateway().message.as_deref(), Some("starting"));
    assert_eq!(registry.report().status, Status::Unhealthy);
    assert_eq!(registry.liveness().status, Status::Healthy);
    registry.set_ready();
    assert_eq!((gateway().status, gateway().message), (Status::Healthy, None));
    registry.drain();
    assert_eq!(gateway().message.as_deref(), Some("shutting down"));
    assert_eq!(registry.report().status, Status::Unhealthy);
    assert_eq!(registry.liveness().status, Status::Healthy);
}

#[test]
fn a_part_is_asked_each_time() {
    let part = Part::new("upstream", down("refused"));
    let registry = HealthRegistry::new(SlowClock::new(), vec![Arc::<Part>::clone(&part)]);
    registry.set_ready();
    assert_eq!(registry.report().status, Status::Unhealthy);
    *part.1.lock().unwrap() = Health::Up;
    assert_eq!(registry.report().status, Status::Healthy);
}

#[test]
fn the_report_has_the_shape_of_the_contract() {
    let registry =
        HealthRegistry::new(SlowClock::new(), vec![Part::new("upstream", down("refused"))]);
    registry.set_ready();
    let report = serde_json::to_value(registry.report()).unwrap();
    assert_eq!(
        report,
        serde_json::json!({
            "status": "unhealthy",
            "timestamp": "2023-11-14T22:13:20.000000Z",
            "version": crate::VERSION,
            "components": {
                "gateway": {"status": "healthy", "latency": "0s"},
                "upstream": {"status": "unhealthy", "message": "refused", "latency": "250us"},
            },
        })
    );
}

#[test]
fn a_part_that_works_may_say_more() {
    struct Talker(Health);
    impl Probe for Talker {
        fn name(&self) -> &'static str {
            "policy"
        }
        fn health(&self) -> Health {
            self.0.clone()
        }
        fn note(&self) -> Option<String> {
            Some("revision r1".to_owned())
        }
    }
    for (health, status, message) in [
        (Health::Up, Status::Healthy, "revision r1"),
        (down("no set"), Status::Unhealthy, "no set"),
    ] {
        let registry = HealthRegistry::new(SlowClock::new(), vec![Arc::new(Talker(health))]);
        registry.set_ready();
        let report = registry.report();
        assert_eq!(report.components["policy"].message.as_deref(), Some(message));
        assert_eq!(report.status, status);
    }
}
