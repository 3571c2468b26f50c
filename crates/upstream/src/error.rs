//! What can be wrong with the configuration of an upstream server.

/// Why no upstream server can be made of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a URL nor a command.
    #[error("no server is configured: set `upstream.url` or `upstream.command`")]
    NoServer,
    /// Both a URL and a command.
    #[error("`upstream.url` and `upstream.command` are both set: keep one of them")]
    TwoServers,
    /// The URL cannot be used.
    #[error("`upstream.url` {what}; write for example `http://127.0.0.1:8080/mcp`")]
    Url {
        /// What is wrong with it. The URL itself may hold a secret and is not repeated.
        what: String,
    },
    /// A value makes no sense.
    #[error("`{key}` cannot be used: {what}")]
    Invalid {
        /// The path of the key.
        key: &'static str,
        /// What is wrong with the value.
        what: &'static str,
    },
    /// The command cannot be started.
    #[error("`upstream.command` cannot be used: {0}")]
    Command(#[from] child::Error),
    /// The TLS client could not be set up.
    #[error("tls for `upstream.url` cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}
