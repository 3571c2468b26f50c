//! Why the gateway did not start, or could not serve.

/// Why the gateway did not start, or could not serve. The text of the part that failed says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] audit::Error),
    /// The policies.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// The bundle of the policies.
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    /// The keys of session ids.
    #[error(transparent)]
    Session(#[from] session::Error),
    /// The questions to people.
    #[error(transparent)]
    Approval(#[from] approval::Error),
    /// The server behind the gateway.
    #[error(transparent)]
    Upstream(#[from] upstream::Error),
    /// Metrics.
    #[error(transparent)]
    Observability(#[from] observability::Error),
    /// The data port.
    #[error(transparent)]
    Listener(#[from] transport_http::Error),
    /// The server behind the gateway cannot be started, and there is one client that it is wanted for.
    #[error("the server cannot be started: {0}")]
    NoServer(String),
    /// The client on standard input and output.
    #[error(transparent)]
    Stdio(#[from] transport_stdio::Error),
    /// A connection of the data port.
    #[error("cannot serve the data port: {0}")]
    Serve(std::io::Error),
    /// A thread.
    #[error("cannot start a thread: {0}; the limit of processes may be reached")]
    Thread(std::io::Error),
    /// The ports of probes and metrics.
    #[error(transparent)]
    Admin(#[from] admin::Error),
}
