//! Metrics whose value another part of the gateway already has: they are read when they are scraped.

use std::collections::HashMap;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// A value that is asked for at each scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reading {
    /// Sessions that are open.
    ActiveSessions,
    /// Whether the server can be reached: 1 or 0.
    UpstreamConnected,
    /// Child processes that run as servers.
    UpstreamChildren,
    /// Messages of the server that were dropped because they fit nothing, or were none.
    UpstreamProtocolErrors,
    /// Rows that are in the audit log.
    AuditRecordsWritten,
    /// Rows that were lost, all on errors of the database.
    AuditRecordsDropped,
    /// Rows that wait to be written.
    AuditBufferSize,
    /// Transactions of the audit log.
    AuditFlushes,
    /// Lines of the gateway's own log that were lost because the log could not keep up.
    LogLinesDropped,
    /// Evaluations that were denials because they took too long.
    PolicyTimeouts,
    /// Reused decisions that were made again and came to the same.
    PolicyCacheConfirmed,
    /// Reused decisions that were made again and came to something else.
    PolicyCacheRefuted,
}

impl Reading {
    /// Every reading.
    pub const ALL: [Self; 12] = [
        Self::ActiveSessions,
        Self::UpstreamConnected,
        Self::UpstreamChildren,
        Self::UpstreamProtocolErrors,
        Self::AuditRecordsWritten,
        Self::AuditRecordsDropped,
        Self::AuditBufferSize,
        Self::AuditFlushes,
        Self::LogLinesDropped,
        Self::PolicyTimeouts,
        Self::PolicyCacheConfirmed,
        Self::PolicyCacheRefuted,
    ];

    /// The name of the metric and what it says.
    const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::ActiveSessions => ("mcp_proxy_active_sessions", "Sessions that are open."),
            Self::UpstreamConnected => {
                ("mcp_proxy_upstream_connected", "Whether the server can be reached: 1 or 0.")
            }
            Self::UpstreamChildren => {
                ("mcp_proxy_upstream_children", "Child processes that run as servers.")
            }
            Self::UpstreamProtocolErrors => (
                "mcp_proxy_upstream_protocol_errors_total",
                "Messages of the server that were dropped because they fit nothing, or were none.",
            ),
            Self::AuditRecordsWritten => {
                ("mcp_proxy_audit_records_written_total", "Rows written to the audit log.")
            }
            Self::AuditRecordsDropped => {
                ("mcp_proxy_audit_records_dropped_total", "Rows lost on errors of the audit log.")
            }
            Self::AuditBufferSize => {
                ("mcp_proxy_audit_buffer_size", "Rows that wait to be written.")
            }
            Self::AuditFlushes => {
                ("mcp_proxy_audit_flushes_total", "Transactions of the audit log.")
            }
            Self::LogLinesDropped => {
                ("mcp_proxy_log_lines_dropped_total", "Lines of the gateway's log that were lost.")
            }
            Self::PolicyTimeouts => {
                ("mcp_proxy_policy_timeouts_total", "Evaluations that took too long.")
            }
            Self::PolicyCacheConfirmed | Self::PolicyCacheRefuted => (
                "mcp_proxy_policy_cache_verifications_total",
                "Reused decisions that were made again, by whether that came to the same.",
            ),
        }
    }

    const fn kind(self) -> MetricType {
        match self {
            Self::ActiveSessions
            | Self::UpstreamConnected
            | Self::UpstreamChildren
            | Self::AuditBufferSize => MetricType::GAUGE,
            Self::UpstreamProtocolErrors
            | Self::AuditRecordsWritten
            | Self::AuditRecordsDropped
            | Self::AuditFlushes
            | Self::LogLinesDropped
            | Self::PolicyTimeouts
            | Self::PolicyCacheConfirmed
            | Self::PolicyCacheRefuted => MetricType::COUNTER,
        }
    }

    /// The label of the metric, if it has one.
    const fn label(self, server: &str) -> Option<(&'static str, &str)> {
        match self {
            Self::UpstreamConnected | Self::UpstreamChildren | Self::UpstreamProtocolErrors => {
                Some(("server", server))
            }
            Self::PolicyCacheConfirmed => Some(("result", "same")),
            Self::PolicyCacheRefuted => Some(("result", "different")),
            Self::ActiveSessions
            | Self::AuditRecordsWritten
            | Self::AuditRecordsDropped
            | Self::AuditBufferSize
            | Self::AuditFlushes
            | Self::LogLinesDropped
            | Self::PolicyTimeouts => None,
        }
    }
}

/// A function that is a metric.
pub(crate) struct Collected<F> {
    desc: Desc,
    reading: Reading,
    label: Option<(&'static str, String)>,
    value: F,
}

impl<F: Fn() -> u64> Collected<F> {
    pub(crate) fn new(reading: Reading, server: &str, value: F) -> Result<Self, prometheus::Error> {
        let label = reading.label(server).map(|(name, value)| (name, value.to_owned()));
        let labels: HashMap<_, _> =
            label.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let (name, help) = reading.text();
        let desc = Desc::new(name.to_owned(), help.to_owned(), Vec::new(), labels)?;
        Ok(Self { desc, reading, label, value })
    }
}

impl<F: Fn() -> u64 + Send + Sync> Collector for Collected<F> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        #[expect(clippy::cast_precision_loss, reason = "Prometheus has no other number")]
        let value = (self.value)() as f64;
        let mut metric = Metric::default();
        if self.reading.kind() == MetricType::GAUGE {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        } else {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        metric.set_label(self.label.iter().map(|(name, value)| pair(name, value)).collect());
        let (name, help) = self.reading.text();
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(self.reading.kind());
        family.set_metric(vec![metric]);
        vec![family]
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
