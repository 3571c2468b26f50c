//! The metrics of the gateway, all named `mcp_proxy_*`.

use std::time::Duration;

use domain::{Decision, ErrorKind, Mode, Outcome, Stage, Transport};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use protocol::Method;

use crate::acts::Acts;
use crate::reading::Collected;
use crate::{Error, Reading, VERSION};

/// Seconds, from a microsecond (a cached decision) to ten seconds (a slow server).
const LATENCY: [f64; 22] = [
    1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Seconds, from a look at the tool list to a day.
const VISIT: [f64; 12] =
    [1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0];

/// In the order of their declaration.
const OUTCOMES: [Outcome; 4] = [Outcome::Allow, Outcome::Deny, Outcome::WouldDeny, Outcome::Error];
const MODES: [Mode; 2] = [Mode::Audit, Mode::Enforce];

/// How a message ended: label `status` of `mcp_proxy_requests_total`.
const STATUSES: [&str; 3] = ["ok", "denied", "error"];

/// How a call of the server ended: label `status` of `mcp_proxy_upstream_requests_total`.
const UPSTREAM_STATUSES: [&str; 3] = ["ok", "error", "timeout"];

/// The metrics of the gateway. All methods are cheap and may be called from anywhere.
pub struct Metrics {
    registry: Registry,
    server: String,
    /// By `Method as usize`.
    methods: Vec<PerMethod>,
    in_flight: IntGauge,
    /// By outcome, mode and stage.
    decisions: [[[IntCounter; Stage::ALL.len()]; MODES.len()]; OUTCOMES.len()],
    acts: Acts,
    evaluation: Histogram,
    cache_hits: IntCounter,
    cache_misses: IntCounter,
    /// By `Transport as usize`.
    sessions: [IntCounter; Transport::ALL.len()],
    session_duration: Histogram,
    /// In the order of [`UPSTREAM_STATUSES`].
    upstream: [IntCounter; UPSTREAM_STATUSES.len()],
    upstream_duration: Histogram,
}

struct PerMethod {
    /// In the order of [`STATUSES`].
    done: [IntCounter; STATUSES.len()],
    duration: Histogram,
}

impl Metrics {
    /// Makes every metric; `server` is the configured name of the server behind the gateway.
    ///
    /// # Errors
    ///
    /// [`Error::Metrics`] when Prometheus refuses a name.
    pub fn new(server: &str) -> Result<Self, Error> {
        let make = Maker { registry: Registry::new() };
        make.build_info()?;
        let sessions = make.counters("sessions_total", "Sessions opened.", &["transport"])?;
        let upstream = make.counters(
            "upstream_requests_total",
            "Messages sent to the server, by how that ended.",
            &["server", "status"],
        )?;
        Ok(Self {
            methods: make.methods()?,
            in_flight: make.gauge("requests_in_flight", "Messages being handled.")?,
            decisions: make.decisions()?,
            acts: Acts::new(&make)?,
            evaluation: make.histogram(
                "policy_evaluation_seconds",
                "Time of one policy decision.",
                &LATENCY,
            )?,
            cache_hits: make.counter("policy_cache_hits_total", "Decisions from the cache.")?,
            cache_misses: make.counter("policy_cache_misses_total", "Decisions evaluated.")?,
            sessions: Transport::ALL.map(|it| sessions.with_label_values(&[it.as_str()])),
            session_duration: make.histogram(
                "session_duration_seconds",
                "How long sessions lasted.",
                &VISIT,
            )?,
            upstream: UPSTREAM_STATUSES.map(|it| upstream.with_label_values(&[server, it])),
            upstream_duration: make
                .histograms(
                    "upstream_request_duration_seconds",
                    "Time until the server's answer was complete.",
                    "server",
                )?
                .with_label_values(&[server]),
            server: server.to_owned(),
            registry: make.registry,
        })
    }

    /// A message came in. [`request_done`](Self::request_done) must follow.
    pub fn request_started(&self) {
        self.in_flight.inc();
    }

    /// A message was dealt with: without an error, denied by policy, or failed.
    pub fn request_done(&self, method: Method, error: Option<ErrorKind>, latency: Duration) {
        self.in_flight.dec();
        let Some(metrics) = self.methods.get(method as usize) else { return };
        let [ok, denied, failed] = &metrics.done;
        match error {
            None => ok.inc(),
            Some(
                ErrorKind::PolicyDenied | ErrorKind::RateLimited | ErrorKind::ApprovalRequired,
            ) => denied.inc(),
            Some(_) => failed.inc(),
        }
        metrics.duration.observe(latency.as_secs_f64());
    }

    /// Policy decided.
    pub fn decided(&self, decision: &Decision, mode: Mode, stage: Stage) {
        let outcome = Outcome::of(decision);
        let counter = self.decisions.get(outcome as usize).and_then(|it| it.get(mode as usize));
        if let Some(counter) = counter.and_then(|it| it.get(stage as usize)) {
            counter.inc();
        }
        if decision.cached { &self.cache_hits } else { &self.cache_misses }.inc();
        self.evaluation.observe(decision.elapsed.as_secs_f64());
    }

    /// What policy asked for besides its verdicts, and what became of the policy itself.
    pub fn acts(&self) -> &Acts {
        &self.acts
    }

    /// A session opened.
    pub fn session_opened(&self, transport: Transport) {
        if let Some(counter) = self.sessions.get(transport as usize) {
            counter.inc();
        }
    }

    /// A session ended at that age.
    pub fn session_closed(&self, age: Duration) {
        self.session_duration.observe(age.as_secs_f64());
    }

    /// The server answered, failed, or did not answer in time.
    pub fn upstream_done(&self, error: Option<ErrorKind>, elapsed: Duration) {
        let [ok, failed, timeout] = &self.upstream;
        match error {
            None => ok.inc(),
            Some(ErrorKind::UpstreamTimeout) => timeout.inc(),
            Some(_) => failed.inc(),
        }
        self.upstream_duration.observe(elapsed.as_secs_f64());
    }

    /// Has `value` asked at each scrape.
    ///
    /// # Errors
    ///
    /// [`Error::Metrics`] when the reading already has a value.
    pub fn read(
        &self,
        reading: Reading,
        value: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let collected = Collected::new(reading, &self.server, value)?;
        Ok(self.registry.register(Box::new(collected))?)
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_else(|error| format!("# the metrics could not be written: {error}\n"))
    }
}

/// Makes metrics and registers them.
pub(crate) struct Maker {
    registry: Registry,
}

impl Maker {
    pub(crate) fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        let counter = IntCounter::with_opts(options(name, help))?;
        self.registry.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    pub(crate) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, Error> {
        let counters = IntCounterVec::new(options(name, help), labels)?;
        self.registry.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    pub(crate) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        let gauge = IntGauge::with_opts(options(name, help))?;
        self.registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
        let options = HistogramOpts::from(options(name, help)).buckets(buckets.to_vec());
        let histogram = Histogram::with_opts(options)?;
        self.registry.register(Box::new(histogram.clone()))?;
        Ok(histogram)
    }

    fn histograms(&self, name: &str, help: &str, label: &str) -> Result<HistogramVec, Error> {
        let options = HistogramOpts::from(options(name, help)).buckets(LATENCY.to_vec());
        let histograms = HistogramVec::new(options, &[label])?;
        self.registry.register(Box::new(histograms.clone()))?;
        Ok(histograms)
    }

    pub(crate) fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, Error> {
        let gauges = IntGaugeVec::new(options(name, help), labels)?;
        self.registry.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    fn build_info(&self) -> Result<(), Error> {
        let gauges = self.gauges("build_info", "The running version.", &["version"])?;
        gauges.with_label_values(&[VERSION]).set(1);
        Ok(())
    }

    fn methods(&self) -> Result<Vec<PerMethod>, Error> {
        let labels = ["method", "status"];
        let done = self.counters("requests_total", "Messages, by how they ended.", &labels)?;
        let name = "request_duration_seconds";
        let help = "Time from the last byte of a message to the last byte of its answer.";
        let duration = self.histograms(name, help, "method")?;
        let per_method = |method: &Method| PerMethod {
            done: STATUSES.map(|status| done.with_label_values(&[method.as_str(), status])),
            duration: duration.with_label_values(&[method.as_str()]),
        };
        Ok(Method::ALL.iter().map(per_method).collect())
    }

    fn decisions(
        &self,
    ) -> Result<[[[IntCounter; Stage::ALL.len()]; MODES.len()]; OUTCOMES.len()], Error> {
        let labels = ["decision", "mode", "stage"];
        let counters = self.counters("policy_decisions_total", "Policy decisions.", &labels)?;
        Ok(OUTCOMES.map(|outcome| {
            MODES.map(|mode| {
                Stage::ALL.map(|stage| {
                    counters.with_label_values(&[outcome.as_str(), mode.as_str(), stage.as_str()])
                })
            })
        }))
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("mcp_proxy")
}

#[cfg(test)]
mod tests;
