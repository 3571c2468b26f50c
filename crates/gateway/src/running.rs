//! Starting and stopping.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use settings::Settings;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport_http::{App, Listener};

use crate::Error;
use crate::parts::Parts;
use crate::workers::Workers;

/// How often sessions are looked through for those that outlived their limits.
const SWEEP: Duration = Duration::from_secs(10);
/// How long parts may take to end after the calls in flight have.
const LAST: Duration = Duration::from_secs(10);
/// How often the server behind the gateway is looked for.
const CHECK: Duration = Duration::from_secs(5);

/// The ports that were taken.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Where clients connect.
    pub data: SocketAddr,
    /// The probes, when they are on.
    pub health: Option<SocketAddr>,
    /// The metrics, when they are on.
    pub metrics: Option<SocketAddr>,
}

/// What the gateway needs of the process that it runs in.
pub struct Process {
    /// The environment, of which child servers inherit what the configuration names.
    pub environment: BTreeMap<String, String>,
    /// Lines of the log that were lost so far, for metrics.
    pub lost_log_lines: Box<dyn Fn() -> u64 + Send + Sync>,
}

/// A gateway that serves.
pub struct Running {
    addresses: Addresses,
    parts: Parts,
    workers: Workers,
    app: App,
    /// How long calls in flight may take at the end.
    grace: Duration,
    /// Ends the data port.
    drain: CancellationToken,
    /// Ends probes, metrics and what runs beside.
    end: CancellationToken,
    beside: TaskTracker,
}

/// Builds the gateway, takes its ports and serves.
///
/// # Errors
///
/// What does not fit together or cannot be had: a policy that does not compile, a port in use, a
/// database that cannot be written. Nothing is served then.
pub async fn start(settings: Settings, process: Process) -> Result<Running, Error> {
    let parts = Parts::build(&settings, process)?;
    let listener = Listener::bind(&settings.server).await?;
    let mut addresses = Addresses { data: listener.local_addr(), health: None, metrics: None };
    let mut admin = Vec::new();
    for endpoint in admin::plan(&settings.metrics, &settings.health)? {
        let port = endpoint.bind().await?;
        let address = port.local_addr().ok();
        addresses.metrics = addresses.metrics.or(address.filter(|_| endpoint.has_metrics()));
        addresses.health = addresses.health.or(address.filter(|_| endpoint.has_probes()));
        admin.push((endpoint, port));
    }
    let (drain, end) = (CancellationToken::new(), CancellationToken::new());
    let beside = TaskTracker::new();
    for (endpoint, port) in admin {
        let routes = endpoint.router(&parts.metrics, &parts.health);
        beside.spawn(admin::serve(port, routes, end.clone().cancelled_owned()));
    }
    beside.spawn(every(CHECK, end.clone(), {
        let upstream = Arc::clone(&parts.upstream);
        async move || upstream.check().await
    }));
    beside.spawn(every(SWEEP, end.clone(), {
        let router = Arc::clone(&parts.router);
        async move || router.sweep().await
    }));
    let options = transport_sse::Options { shutdown: drain.clone(), ..Default::default() };
    let sse = transport_sse::routes(Arc::clone(&parts.router), options);
    let app = transport_http::app(Arc::clone(&parts.router), &settings.server, sse);
    let engine = parts.engine.clone();
    let warm = move || engine.iter().for_each(|engine| engine.warm());
    let workers = Workers::start(listener, &app, &drain, &end, warm)?;
    parts.health.set_ready();
    let grace = settings.server.graceful_shutdown.duration();
    Ok(Running { addresses, parts, workers, app, grace, drain, end, beside })
}

/// Waits for a part to end, but not for ever: whatever hangs, the audit log is drained.
async fn leave_behind(what: &str, ending: impl Future<Output = ()>) {
    if tokio::time::timeout(LAST, ending).await.is_err() {
        tracing::error!("{what} did not end within {LAST:?} and are left behind");
    }
}

/// Runs `work` now and then after every `period`, until `end`.
async fn every<W: AsyncFn()>(period: Duration, end: CancellationToken, work: W) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while end.run_until_cancelled(ticks.tick()).await.is_some() {
        if end.run_until_cancelled(work()).await.is_none() {
            return;
        }
    }
}

impl Running {
    /// The ports that were taken.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The revision of the policy set; `None` when policy is off.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        self.parts.engine.as_deref().map(|engine| &*engine.revision().0)
    }

    /// Stops: readiness goes first, then the data port closes and calls in flight finish within
    /// `server.graceful_shutdown` or are cut when `hurry` comes, then the sessions end upstream, then
    /// the audit log is drained. Returns how many rows of it are lost.
    pub async fn stop(self, hurry: impl Future<Output = ()>) -> u64 {
        let Self { parts, mut workers, app, grace, drain, end, beside, .. } = self;
        parts.health.drain();
        drain.cancel();
        let drained = tokio::select! {
            biased;
            () = workers.drained() => true,
            () = hurry => false,
            () = tokio::time::sleep(grace.saturating_add(LAST)) => false,
        };
        if !drained {
            app.cut();
            leave_behind("workers", workers.drained()).await;
        }
        leave_behind("sessions", parts.router.close_all()).await;
        end.cancel();
        let log = parts.audit.clone();
        let ended = tokio::task::spawn_blocking(move || {
            workers.join();
            if let Some(log) = log {
                log.shutdown();
            }
        });
        if let Err(error) = ended.await {
            tracing::error!(%error, "the gateway ended badly");
        }
        beside.close();
        beside.wait().await;
        parts.audit.map_or(0, |log| log.stats().dropped)
    }
}
