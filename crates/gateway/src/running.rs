//! Starting and stopping.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use admin::{Pages, PolicyControl};
use settings::Settings;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport_http::{App, Listener, Served};

use crate::Error;
use crate::open_files;
use crate::parts::Parts;
use crate::reload::Reloads;
use crate::reload::bundles::{self, Supply};
use crate::service;
use crate::workers::Workers;

/// How often sessions are looked through for those that outlived their limits, at least and at most.
const SWEEP: Duration = Duration::from_secs(10);
const SHORTEST_SWEEP: Duration = Duration::from_millis(100);
/// How long parts may take to end after the calls in flight have.
const LAST: Duration = Duration::from_secs(10);
/// How often the server behind the gateway is looked for.
const CHECK: Duration = Duration::from_secs(5);

/// The ports that were taken.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Where clients connect; `None` when the only client is on standard input and output.
    pub data: Option<SocketAddr>,
    /// The probes, when they are on.
    pub health: Option<SocketAddr>,
    /// The metrics, when they are on.
    pub metrics: Option<SocketAddr>,
    /// The pages for operators, when they are on.
    pub admin: Option<SocketAddr>,
}

/// What the gateway needs of the process that it runs in.
pub struct Process {
    /// The environment, of which child servers inherit what the configuration names.
    pub environment: BTreeMap<String, String>,
    /// Lines of the log that were lost so far, for metrics.
    pub lost_log_lines: Box<dyn Fn() -> u64 + Send + Sync>,
    /// The digest of the settings as they are served, [`Loaded::digest`](settings::Loaded::digest).
    pub config_digest: String,
}

/// A gateway that serves.
pub struct Running {
    addresses: Addresses,
    parts: Parts,
    workers: Workers,
    /// What serves the data port, if there is one.
    app: Option<App>,
    /// How long calls in flight may take at the end.
    grace: Duration,
    /// Ends the data port, or the reading of standard input.
    drain: CancellationToken,
    /// Ends probes, metrics and what runs beside.
    end: CancellationToken,
    beside: TaskTracker,
    reloads: Arc<Reloads>,
    /// The thread that keeps the policy up to date.
    keeper: JoinHandle<()>,
}

/// How a gateway ended.
#[derive(Debug)]
pub struct Stopped {
    /// Rows of the audit log that could not be written.
    pub lost_rows: u64,
    /// Why it could not serve to the end.
    pub failure: Option<Error>,
}

/// Builds the gateway, takes its ports and serves.
///
/// # Errors
///
/// What does not fit together or cannot be had: a policy that does not compile, a port in use, a
/// database that cannot be written. Nothing is served then.
pub async fn start(settings: Settings, process: Process) -> Result<Running, Error> {
    let Supply { fetcher, first } = Supply::begin(&settings.policy).await?;
    let (parts, mut keeper) = Parts::build(&settings, process, first)?;
    let delivery = Arc::clone(&keeper.delivery);
    // A lockdown that was on before holds before the first message.
    let keeper = tokio::task::spawn_blocking(move || {
        keeper.look();
        keeper
    });
    let keeper = keeper.await.map_err(|error| Error::Thread(error.into()))?;
    let listener = match settings.server.transport {
        Served::Stdio => None,
        Served::All | Served::Http | Served::Sse | Served::WebSocket => {
            open_files::raise(settings.server.max_connections);
            Some(Listener::bind(&settings.server).await?)
        }
    };
    let data = listener.as_ref().map(Listener::local_addr);
    let mut addresses = Addresses { data, health: None, metrics: None, admin: None };
    let mut admin = Vec::new();
    for endpoint in admin::plan(settings.admin_sections())? {
        let port = endpoint.bind().await?;
        let address = port.local_addr().ok();
        addresses.metrics = addresses.metrics.or(address.filter(|_| endpoint.has_metrics()));
        addresses.health = addresses.health.or(address.filter(|_| endpoint.has_probes()));
        addresses.admin = addresses.admin.or(address.filter(|_| endpoint.has_control()));
        admin.push((endpoint, port));
    }
    let (drain, end) = (CancellationToken::new(), CancellationToken::new());
    let beside = TaskTracker::new();
    let (reloads, keeper) = Reloads::start(keeper)?;
    let pages = Pages {
        metrics: Arc::clone(&parts.metrics),
        health: Arc::clone(&parts.health),
        policy: Arc::clone(&reloads) as Arc<dyn PolicyControl>,
    };
    for (endpoint, port) in admin {
        let routes = endpoint.router(&pages);
        beside.spawn(admin::serve(port, routes, end.clone().cancelled_owned()));
    }
    if let Some(fetcher) = fetcher {
        beside.spawn(end.clone().run_until_cancelled_owned(bundles::follow(fetcher, delivery)));
    }
    beside.spawn(every(CHECK, end.clone(), {
        let upstream = Arc::clone(&parts.upstream);
        async move || upstream.check().await
    }));
    beside.spawn(every(sweep_period(&settings.session), end.clone(), {
        let router = Arc::clone(&parts.router);
        async move || router.sweep().await
    }));
    let (app, workers) = match listener {
        Some(listener) => {
            let (app, workers) = service::of_port(listener, &settings, &parts, &drain, &end)?;
            (Some(app), workers)
        }
        None => (None, service::of_stdio(&settings, &parts, &drain, &end).await?),
    };
    parts.health.set_ready();
    let grace = settings.server.graceful_shutdown.duration();
    parts.standing.announce(&parts.metrics);
    Ok(Running { addresses, parts, workers, app, grace, drain, end, beside, reloads, keeper })
}

/// Sessions with short limits are looked through more often, so that what they hold is free soon after.
fn sweep_period(limits: &session::Config) -> Duration {
    let limits = [limits.idle_timeout.duration(), limits.ttl.duration()];
    let shortest = limits.into_iter().filter(|limit| !limit.is_zero()).min().unwrap_or(SWEEP);
    (shortest / 4).clamp(SHORTEST_SWEEP, SWEEP)
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

    /// The revision of the policy set in force; `None` when policy is off.
    #[must_use]
    pub fn revision(&self) -> Option<Arc<str>> {
        self.parts.standing.revision()
    }

    /// Has the policy files loaded again, soon.
    pub fn reload(&self) {
        self.reloads.signal();
    }

    /// Waits until nobody is served any more: the client on standard input and output has left.
    pub async fn served(&mut self) {
        self.workers.served().await;
    }

    /// Stops: readiness goes first, then the data port closes and calls in flight finish within
    /// `server.graceful_shutdown` or are cut when `hurry` comes, then the sessions end upstream, then
    /// the audit log is drained.
    pub async fn stop(self, hurry: impl Future<Output = ()>) -> Stopped {
        let Self { parts, mut workers, app, grace, drain, end, beside, reloads, keeper, .. } = self;
        parts.health.drain();
        drain.cancel();
        let served = tokio::select! {
            biased;
            () = workers.served() => true,
            () = hurry => false,
            () = tokio::time::sleep(grace.saturating_add(LAST)) => false,
        };
        if !served {
            match app {
                Some(app) => app.cut(),
                // The calls of a session end with it.
                None => leave_behind("sessions", parts.router.close_all()).await,
            }
            leave_behind("workers", workers.served()).await;
        }
        leave_behind("sessions", parts.router.close_all()).await;
        end.cancel();
        let kept = tokio::task::spawn_blocking(move || {
            reloads.stop();
            keeper.join().is_ok()
        });
        leave_behind("reloads", async { drop(kept.await) }).await;
        let log = parts.audit.clone();
        let ended = tokio::task::spawn_blocking(move || {
            let failure = workers.join();
            if let Some(log) = log {
                log.shutdown();
            }
            failure
        });
        let failure = ended.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the gateway ended badly");
            None
        });
        beside.close();
        beside.wait().await;
        Stopped { lost_rows: parts.audit.map_or(0, |log| log.stats().dropped), failure }
    }
}
