//! Builds the parts of the gateway from its settings.

use std::sync::Arc;

use audit::AuditLog;
use bridge::Bridge;
use domain::{Clock, Identity, Policy, Probe, Recorder, SystemClock, Upstream};
use observability::{HealthRegistry, Metrics, Reading};
use policy::{PolicyEngine, Sources};
use router::{Options, Ports, Router};
use session::{Keys, Sessions};
use settings::Settings;
use transport_http::Served;
use upstream::UpstreamServer;

use crate::{Error, Process};

/// Everything that has been built and not yet been started.
pub(crate) struct Parts {
    pub(crate) router: Arc<Router>,
    pub(crate) upstream: Arc<UpstreamServer>,
    pub(crate) audit: Option<Arc<AuditLog>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<HealthRegistry>,
    /// None when policy is off.
    pub(crate) engine: Option<Arc<PolicyEngine>>,
}

impl Parts {
    /// Builds the parts.
    pub(crate) fn build(settings: &Settings, process: Process) -> Result<Self, Error> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engine = load_policy(settings)?;
        let upstream =
            UpstreamServer::new(settings.upstream.clone(), process.environment, clock.clone())?;
        let upstream = Arc::new(upstream);
        let audit = audit::open(&settings.audit, clock.clone())?;
        let metrics = Arc::new(Metrics::new(upstream.view().name)?);
        let ports = Ports {
            policy: match &engine {
                Some(engine) => Arc::clone(engine) as Arc<dyn Policy>,
                None => Arc::new(policy::Disabled::default()),
            },
            upstream: Bridge::new(Arc::clone(&upstream) as Arc<dyn Upstream>, clock.clone()),
            recorder: match &audit {
                Some(log) => Arc::clone(log) as Arc<dyn Recorder>,
                None => Arc::new(audit::Disabled),
            },
            metrics: Arc::clone(&metrics),
            clock: clock.clone(),
        };
        let limits = session_limits(settings);
        let keys = Keys::load(&limits)?;
        let sessions = Sessions::new(limits, clock.clone(), keys);
        let router = Router::new(ports, options(settings), sessions);
        let mut probes: Vec<Arc<dyn Probe>> = vec![upstream.clone()];
        probes.extend(audit.clone().map(|log| log as Arc<dyn Probe>));
        let health = Arc::new(HealthRegistry::new(clock, probes));
        let parts = Self { router, upstream, audit, metrics, health, engine };
        parts.metrics.read(Reading::LogLinesDropped, process.lost_log_lines)?;
        parts.register_readings()?;
        Ok(parts)
    }

    /// Metrics whose values the parts already keep.
    fn register_readings(&self) -> Result<(), Error> {
        let router = Arc::clone(&self.router);
        self.metrics.read(Reading::ActiveSessions, move || router.sessions().len() as u64)?;
        let upstream = Arc::clone(&self.upstream);
        self.metrics.read(Reading::UpstreamConnected, move || {
            u64::from(upstream.health() == domain::Health::Up)
        })?;
        let upstream = Arc::clone(&self.upstream);
        self.metrics.read(Reading::UpstreamChildren, move || upstream.children() as u64)?;
        let upstream = Arc::clone(&self.upstream);
        self.metrics.read(Reading::UpstreamProtocolErrors, move || upstream.protocol_errors())?;
        let Some(log) = &self.audit else { return Ok(()) };
        type Part = fn(audit::Stats) -> u64;
        let readings: [(Reading, Part); 4] = [
            (Reading::AuditRecordsWritten, |stats| stats.written),
            (Reading::AuditRecordsDropped, |stats| stats.dropped),
            (Reading::AuditBufferSize, |stats| stats.queued),
            (Reading::AuditFlushes, |stats| stats.flushes),
        ];
        for (reading, value) in readings {
            let log = Arc::clone(log);
            self.metrics.read(reading, move || value(log.stats()))?;
        }
        Ok(())
    }
}

/// The `session` section as it is served, with the key file that is taken by default: sessions outlive the process
/// wherever the gateway may write, and the audit log shows where that is. Over stdio the session is the process.
#[must_use]
pub fn session_limits(settings: &Settings) -> session::Config {
    let mut limits = settings.session.clone();
    if settings.audit.enabled && settings.server.transport != Served::Stdio {
        let beside = || settings.audit.db_path.with_file_name("session.key");
        limits.key_file.get_or_insert_with(beside);
    }
    limits
}

fn options(settings: &Settings) -> Options {
    let capture = &settings.audit.capture;
    Options {
        mode: settings.policy.mode,
        agent: Arc::new(settings.agent.clone()),
        identity: Arc::new(Identity::configured()),
        environment: settings.policy.environment.as_str().into(),
        capture_arguments: capture.request_arguments,
        capture_responses: capture.response_summary,
    }
}

fn load_policy(settings: &Settings) -> Result<Option<Arc<PolicyEngine>>, Error> {
    if !settings.policy.enabled {
        return Ok(None);
    }
    let sources = Sources::from_config(&settings.policy)?;
    Ok(Some(Arc::new(PolicyEngine::new(&sources, &settings.policy)?)))
}
