//! Builds the parts of the gateway from its settings.

use std::path::PathBuf;
use std::sync::Arc;

use approval::ApprovalStore;
use audit::AuditLog;
use bridge::Bridge;
use bundle::Bundle;
use domain::{Approvals, Clock, Identity, Policies, Probe, Recorder, SystemClock, Upstream};
use limits::RateLimiter;
use observability::{HealthRegistry, Metrics, Reading};
use policy::{DenyAs, LivePolicy, PolicyEngine, Sources};
use router::{Options, Ports, Router};
use session::{Keys, Sessions};
use settings::Settings;
use tokio::runtime::Handle;
use transport_http::Served;
use upstream::UpstreamServer;

use crate::control::ControlFolder;
use crate::journal::Journal;
use crate::reload::bundles;
use crate::reload::keeper::Keeper;
use crate::reload::rehearsal;
use crate::reload::status::{Counts, Origin, Standing};
use crate::reload::watch::Watch;
use crate::{Error, Process, service};

/// Everything that has been built and not yet been started.
pub(crate) struct Parts {
    pub(crate) router: Arc<Router>,
    pub(crate) upstream: Arc<UpstreamServer>,
    pub(crate) audit: Option<Arc<AuditLog>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<HealthRegistry>,
    pub(crate) policy: Arc<LivePolicy>,
    pub(crate) standing: Arc<Standing>,
}

impl Parts {
    /// Builds the parts, and what keeps the policy up to date.
    pub(crate) fn build(
        settings: &Settings,
        process: Process,
        first: Option<Bundle>,
    ) -> Result<(Self, Keeper), Error> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let config: Arc<str> = process.config_digest.as_str().into();
        let (loaded, watch) = Loaded::new(&settings.policy, first.as_ref())?;
        let policy = Arc::clone(&loaded.live);
        let (enabled, origin) = (settings.policy.enabled, loaded.origin);
        let standing = Standing::new(Arc::clone(&policy), enabled, Arc::clone(&config), origin);
        let standing = Arc::new(standing);
        let upstream =
            UpstreamServer::new(settings.upstream.clone(), process.environment, clock.clone())?;
        let upstream = Arc::new(upstream);
        let audit = audit::open(&settings.audit, clock.clone())?;
        let recorder: Arc<dyn Recorder> = match &audit {
            Some(log) => Arc::clone(log) as Arc<dyn Recorder>,
            None => Arc::new(audit::Disabled),
        };
        let metrics = Arc::new(Metrics::new(upstream.view().name)?);
        let approvals = open_approvals(settings, &clock)?.map(Arc::new);
        let ports = Ports {
            policy: Arc::clone(&policy) as Arc<dyn Policies>,
            upstream: Bridge::new(Arc::clone(&upstream) as Arc<dyn Upstream>, clock.clone()),
            recorder: Arc::clone(&recorder),
            approvals: approvals.clone().map(|store| store as Arc<dyn Approvals>),
            limiter: Arc::new(RateLimiter::new(&settings.limits, clock.monotonic())),
            metrics: Arc::clone(&metrics),
            clock: clock.clone(),
        };
        let limits = session_limits(settings);
        let keys = Keys::load(&limits)?;
        let sessions = Sessions::new(limits, clock.clone(), keys);
        let router = Router::new(ports, options(settings, &config), sessions);
        let mut probes: Vec<Arc<dyn Probe>> = vec![upstream.clone(), standing.clone()];
        probes.extend(audit.clone().map(|log| log as Arc<dyn Probe>));
        let health = Arc::new(HealthRegistry::new(clock.clone(), probes));
        let parts = Self { router, upstream, audit, metrics, health, policy, standing };
        parts.metrics.read(Reading::LogLinesDropped, process.lost_log_lines)?;
        parts.register_readings()?;
        let journal = Journal {
            recorder,
            runtime: Handle::current(),
            clock: clock.clone(),
            mode: settings.policy.mode,
            environment: settings.policy.environment.as_str().into(),
            server: parts.upstream.view().name.into(),
            config,
        };
        let keeper = Keeper {
            config: loaded.config,
            live: Arc::clone(&parts.policy),
            watch,
            delivery: Arc::default(),
            bundle: None,
            unrecorded: false,
            folder: ControlFolder::of(settings),
            rehearse: rehearsal::of(settings),
            approvals,
            answered: clock.wall(),
            journal,
            metrics: Arc::clone(&parts.metrics),
            standing: Arc::clone(&parts.standing),
            clock,
            threads: service::threads(settings),
            held: None,
        };
        if let Some(bundle) = first {
            keeper.delivery.put(Ok(Arc::new(bundle)));
        }
        Ok((parts, keeper))
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
        type Count = fn(Counts) -> u64;
        let of_policy: [(Reading, Count); 3] = [
            (Reading::PolicyTimeouts, |counts| counts.timeouts),
            (Reading::PolicyCacheConfirmed, |counts| counts.confirmed),
            (Reading::PolicyCacheRefuted, |counts| counts.refuted),
        ];
        for (reading, value) in of_policy {
            let standing = Arc::clone(&self.standing);
            self.metrics.read(reading, move || value(standing.counts()))?;
        }
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

fn options(settings: &Settings, config: &Arc<str>) -> Options {
    let (policy, capture) = (&settings.policy, &settings.audit.capture);
    let lower_case = |name: &String| name.to_ascii_lowercase().into();
    Options {
        mode: policy.mode,
        agent: Arc::new(settings.agent.clone()),
        identity: Arc::new(Identity::configured()),
        environment: policy.environment.as_str().into(),
        capture_arguments: capture.request_arguments,
        capture_responses: capture.response_summary,
        deny_as_tool_error: policy.deny_as == DenyAs::ToolError,
        hide_denied: policy.hide_denied,
        headers: policy.headers.iter().map(lower_case).collect(),
        approval_wait: settings.approval.wait.duration(),
        config_revision: Some(Arc::clone(config)),
    }
}

/// The questions to people, where there is a place for them: beside the audit log, or where the configuration says.
fn open_approvals(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Option<ApprovalStore>, Error> {
    let Settings { approval, audit, .. } = settings;
    if !audit.enabled && approval.db_path.is_none() {
        return Ok(None);
    }
    let path = approval.path(&audit.db_path);
    Ok(Some(ApprovalStore::open(&path, approval, Arc::clone(clock))?))
}

/// The policy that the files hold at the start.
pub(crate) struct Loaded {
    pub(crate) live: Arc<LivePolicy>,
    /// The section `policy` with the folder that was found.
    pub(crate) config: policy::Config,
    pub(crate) origin: Origin,
}

impl Loaded {
    /// Loads what is on disk, which is watched from now on, or else the bundle that was fetched.
    pub(crate) fn new(
        config: &policy::Config,
        fetched: Option<&Bundle>,
    ) -> Result<(Self, Watch), Error> {
        let mut config = config.clone();
        if !config.bundle.is_on() {
            // A folder that goes away later must not bring the shipped policies, nor one that appears replace them.
            config.policy_dir = Some(config.folder().map(Into::into).unwrap_or_default());
        }
        // Before the files are read, so that no change in between goes unseen.
        let watch = Watch::new(roots(&config));
        let on_disk = match config.enabled {
            true => config.sources().and_then(|sources| compile(&sources, &config)),
            // Nothing of it is asked; a folder that holds no policy is no reason not to start.
            false => Sources::embedded().and_then(|sources| {
                let (engine, _) = compile(&sources, &policy::Config::default())?;
                Ok((engine, Origin::default()))
            }),
        };
        let (engine, origin) = match (on_disk, fetched) {
            // What was fetched comes after it as any later bundle does: compared, recorded, and held where it is weaker.
            (Ok(compiled), _) => compiled,
            (Err(_), Some(bundle)) => {
                let compiled = compile(&config.sources_of(bundle)?, &config)?;
                bundles::keep(&config.bundle, bundle);
                compiled
            }
            (Err(error), None) => return Err(error.into()),
        };
        let live = match config.enabled {
            true => LivePolicy::new(Arc::new(engine)),
            false => LivePolicy::switched_off(Arc::new(engine)),
        };
        Ok((Self { live: Arc::new(live), config, origin }, watch))
    }
}

fn compile(
    sources: &Sources,
    config: &policy::Config,
) -> Result<(PolicyEngine, Origin), policy::Error> {
    Ok((PolicyEngine::new(sources, config)?, Origin::of(sources)))
}

/// The files and folders that a set is read from. The bundle that is kept for the next start is not one of them: it is
/// written by the gateway.
fn roots(config: &policy::Config) -> Vec<PathBuf> {
    let folders = match config.bundle.is_on() {
        true => [config.bundle.file.as_deref(), None],
        false => [config.folder(), config.json_policy_dir.as_deref()],
    };
    let roots = folders.into_iter().chain([config.data_file.as_deref()]);
    roots.flatten().map(Into::into).collect()
}
