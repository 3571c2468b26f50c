//! Why the gateway did not start.

/// Why the gateway did not start. The text of the part that failed says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] audit::Error),
    /// The policies.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// The server behind the gateway.
    #[error(transparent)]
    Upstream(#[from] upstream::Error),
    /// Metrics.
    #[error(transparent)]
    Observability(#[from] observability::Error),
    /// The data port.
    #[error(transparent)]
    Listener(#[from] transport_http::Error),
    /// A thread.
    #[error("cannot start a thread: {0}; the limit of processes may be reached")]
    Thread(std::io::Error),
    /// The ports of probes and metrics.
    #[error(transparent)]
    Admin(#[from] admin::Error),
}
