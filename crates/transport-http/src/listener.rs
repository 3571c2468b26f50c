//! The port: accepting connections up to a limit, and ending them in good order.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, Peer};
use crate::config::{Config, Security};
use crate::connection::Speech;
use crate::error::Error;
use crate::progress::Progress;

/// Connections over the limit that are told so; further ones are closed.
const EXCESS: usize = 32;
/// How long accepting rests when the machine has no more file descriptors or memory.
const REST: Duration = Duration::from_millis(100);

/// A bound port. Several threads may serve it, each in a runtime of its own: see [`Listener::share`].
pub struct Listener {
    socket: std::net::TcpListener,
    address: SocketAddr,
    speech: Arc<Speech>,
    places: Arc<Semaphore>,
    excess: Arc<Semaphore>,
    grace: Duration,
}

impl Listener {
    /// Takes the configured port. Connections wait until [`Listener::serve`].
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when a key makes no sense, [`Error::Bind`] when the address cannot be had.
    pub async fn bind(config: &Config) -> Result<Self, Error> {
        config.validate()?;
        let listen = &config.listen;
        let host = domain::bare_host(&listen.address);
        let failed = |cause| Error::bind(format!("{}:{}", listen.address, listen.port), cause);
        let socket = TcpListener::bind((host, listen.port)).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let socket = socket.into_std().map_err(failed)?;
        if is_known_by_no_name(address, &config.security) {
            tracing::warn!(
                %address,
                "requests for any other host get 403: list the names and addresses that clients use under \
                 `server.security.allowed_hosts`"
            );
        }
        let places = config.max_connections.min(Semaphore::MAX_PERMITS);
        Ok(Self {
            socket,
            address,
            speech: Arc::new(Speech::from(config)),
            places: Arc::new(Semaphore::new(places)),
            excess: Arc::new(Semaphore::new(EXCESS)),
            grace: config.graceful_shutdown.duration(),
        })
    }

    /// The address that was taken; the port is a real one even when 0 was configured.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The same port for one more thread; the limits hold for all of them together.
    ///
    /// # Errors
    ///
    /// [`Error::Bind`] when the process has no file descriptor left.
    pub fn share(&self) -> Result<Self, Error> {
        let failed = |cause| Error::bind(self.address.to_string(), cause);
        Ok(Self {
            socket: self.socket.try_clone().map_err(failed)?,
            address: self.address,
            speech: Arc::clone(&self.speech),
            places: Arc::clone(&self.places),
            excess: Arc::clone(&self.excess),
            grace: self.grace,
        })
    }

    /// Serves until `shutdown`, then closes the port, ends streams, lets answers under way finish for as long as
    /// `server.graceful_shutdown`, or until [`App::cut`], and returns.
    ///
    /// # Errors
    ///
    /// The runtime cannot watch the port.
    pub async fn serve(self, app: App, shutdown: CancellationToken) -> io::Result<()> {
        let connections = TaskTracker::new();
        let socket = TcpListener::from_std(self.socket.try_clone()?)?;
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, client)) => self.admit(stream, client, &app, &shutdown, &connections),
                Err(error) => {
                    if let Some(rest) = rest_after(&error) {
                        tracing::warn!(%error, "cannot accept connections for a moment");
                        shutdown.run_until_cancelled(sleep(rest)).await;
                    }
                }
            }
        }
        let grace = self.grace;
        drop((socket, self));
        connections.close();
        app.0.behind.close();
        let finished = async {
            connections.wait().await;
            app.0.behind.wait().await;
        };
        if !matches!(timeout(grace, app.0.abort.run_until_cancelled(finished)).await, Ok(Some(())))
        {
            tracing::warn!(
                connections = connections.len(),
                "cutting off what did not finish in time"
            );
            app.0.abort.cancel();
            connections.wait().await;
            app.0.behind.wait().await;
        }
        Ok(())
    }

    /// Starts serving a connection, if there is a place for it.
    fn admit(
        &self,
        stream: TcpStream,
        client: SocketAddr,
        app: &App,
        shutdown: &CancellationToken,
        connections: &TaskTracker,
    ) {
        let Some((place, excess)) = self.place() else {
            tracing::debug!(%client, "closed a connection over the limit");
            return;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%client, %error, "cannot set TCP_NODELAY");
        }
        let peer = Arc::new(Peer {
            _place: Some(place),
            ip: Some(client.ip().to_canonical()),
            user_agent: OnceLock::new(),
            progress: Arc::new(Progress::default()),
            draining: shutdown.child_token(),
            excess,
        });
        let (app, speech) = (app.clone(), Arc::clone(&self.speech));
        connections.spawn(async move { speech.serve(stream, &app, peer).await });
    }

    /// A place for one connection, and whether it is one of the few for those that are told to come back later.
    fn place(&self) -> Option<(OwnedSemaphorePermit, bool)> {
        let place = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        let regular = place(&self.places).map(|place| (place, false));
        regular.or_else(|| place(&self.excess).map(|place| (place, true)))
    }
}

/// Whether other machines can reach the address, and none of the names that they use is let in.
fn is_known_by_no_name(address: SocketAddr, security: &Security) -> bool {
    !address.ip().to_canonical().is_loopback() && security.allowed_hosts.is_empty()
}

/// How long to rest after a failed accept: not at all when only that one connection failed.
fn rest_after(error: &io::Error) -> Option<Duration> {
    let of_one_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    );
    // Without file descriptors the listener stays readable: trying again at once would spin.
    (!of_one_connection).then_some(REST)
}

#[cfg(test)]
mod tests;
