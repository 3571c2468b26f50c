//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use domain::ErrorKind;
use futures_util::FutureExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::app::{App, Peer};
use crate::config::Config;
use crate::progress::Phase;
use crate::socket::{Patience, Socket};

/// What hyper takes without allocating for it.
const USUAL_HEADERS: usize = 100;
/// The least that hyper works with.
const MIN_BUFFER_BYTES: usize = 8192;

/// How HTTP is spoken.
pub(crate) struct Speech {
    http: http1::Builder,
    patience: Patience,
}

impl From<&Config> for Speech {
    fn from(config: &Config) -> Self {
        let mut http = http1::Builder::new();
        // The deadline for headers is kept by the socket, which knows an idle connection from a slow one.
        http.timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_header_size(config.limits.max_header_bytes)
            .max_buf_size(config.limits.max_header_bytes.max(MIN_BUFFER_BYTES));
        if config.limits.max_headers != USUAL_HEADERS {
            http.max_headers(config.limits.max_headers);
        }
        Self { http, patience: Patience::from(config) }
    }
}

impl Speech {
    /// Serves a connection until either side ends it. When the gateway shuts down, it ends after the answer that is
    /// under way, and at once when the time for that is over.
    pub(crate) async fn serve<S>(&self, stream: S, app: &App, peer: Arc<Peer>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let socket = Socket::new(stream, Arc::clone(&peer.progress), self.patience);
        let service = service_fn(|request| {
            Box::pin(app.clone().answer(Arc::clone(&peer), request)).map(Ok::<_, Infallible>)
        });
        let connection = self.http.serve_connection(TokioIo::new(socket), service);
        let mut connection = pin!(connection.with_upgrades());
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = peer.draining.cancelled() => {
                connection.as_mut().graceful_shutdown();
                match app.0.abort.run_until_cancelled(connection).await {
                    Some(ended) => ended,
                    None => return,
                }
            }
        };
        if let Err(error) = ended {
            record(app, &peer, &error).await;
        }
    }
}

/// Records what the client did wrong before there was a request. A client that merely went away did nothing wrong.
async fn record(app: &App, peer: &Peer, error: &hyper::Error) {
    tracing::debug!(%error, client = ?peer.ip, "a connection failed");
    let (kind, message) = if error.is_parse_too_large() {
        let keys = "`server.limits.max_header_bytes`, `server.limits.max_headers`";
        (ErrorKind::TooLarge, format!("the headers are over a limit ({keys})"))
    } else if error.is_parse() {
        (ErrorKind::BadTransport, format!("the request is not HTTP/1.1: {error}"))
    } else if peer.progress.expired() && peer.progress.phase() == Phase::Head {
        let message = "the headers took longer than `server.header_timeout`";
        (ErrorKind::BadTransport, message.to_owned())
    } else {
        return;
    };
    app.record_failure(peer, kind, message).await;
}

#[cfg(test)]
mod tests;
