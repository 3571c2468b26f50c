//! One way to a server: Streamable HTTP, or a pair of pipes.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Answer, Failure, Handshake};
use protocol::{Era, ProtocolVersion};

use super::{Miss, Owner};
use crate::duplex::{Dialler, Duplex, Lease};
use crate::http::HttpLink;
use crate::ledger::{Lane, Updates};
use crate::parcel::Parcel;
use crate::route::Route;

/// A way that was chosen.
pub(super) enum Link {
    Http(Arc<HttpLink>),
    /// Pipes of this session.
    Own(Arc<Duplex>),
    /// Pipes of all sessions.
    Shared(Lease),
}

impl Link {
    /// The ways that a session may have which was opened elsewhere and has an id at the server: by
    /// Streamable HTTP, at more than one address as long as none has answered.
    pub(super) fn resumed(owner: &Owner) -> Vec<Self> {
        let named = owner.handshake.as_ref().is_some_and(|known| known.server_session.is_some());
        let routes = owner.shared.likely_routes().filter(|_| named);
        let http = routes.filter_map(|route| match route {
            Route::Http(client, target) => Some(HttpLink::new(owner, client, target, Era::Legacy)),
            Route::Sse(..) | Route::WebSocket(..) | Route::Stdio(_) => None,
        });
        http.map(Self::Http).collect()
    }

    /// The way of messages of an era by a route, of which the index is given; nothing is opened.
    pub(super) fn new(owner: &Owner, index: usize, route: &Route, era: Era) -> Option<Self> {
        let dialler = match route {
            Route::Http(client, target) => {
                return Some(Self::Http(HttpLink::new(owner, client, target, era)));
            }
            Route::Sse(client, target) => Dialler::Events(Arc::clone(client), target.clone()),
            Route::WebSocket(client, target) => Dialler::Socket(Arc::clone(client), target.clone()),
            Route::Stdio(command) => Dialler::Child(Arc::clone(command)),
        };
        Some(match era {
            Era::Legacy => {
                let updates = if owner.many { Updates::Passing } else { Updates::Waiting };
                Self::Own(Duplex::new(owner, dialler, updates))
            }
            Era::Modern => Self::Shared(owner.shared.pipes(index)?.lease(&owner.shared, dialler)),
        })
    }

    /// Finds out with the first message whether the server is there. Streamable HTTP is tried with
    /// the message itself, and the answer comes back; pipes are opened only.
    pub(super) async fn open(
        &self,
        lane: Lane,
        message: Parcel<'_>,
    ) -> Result<Option<Answer>, Miss> {
        let duplex = match self {
            Self::Http(link) => {
                return Ok(Some(link.send(lane, message, true).await?));
            }
            Self::Own(duplex) => duplex,
            Self::Shared(lease) => lease.duplex(),
        };
        duplex.open(&message).await.map(|()| None).map_err(Miss::unsent)
    }

    pub(super) async fn send(&self, lane: Lane, message: Parcel<'_>) -> Result<Answer, Failure> {
        match self {
            Self::Http(link) => link.send(lane, message, false).await.map_err(Miss::into_failure),
            Self::Own(duplex) => duplex.send(lane, message).await,
            Self::Shared(lease) => lease.duplex().send(lane, message).await,
        }
    }

    /// Sends what only means something to the server that runs now.
    pub(super) async fn reply(&self, body: Bytes) -> Result<Answer, Failure> {
        match self {
            Self::Http(link) => link.reply(body).await,
            Self::Own(duplex) => duplex.reply(body).await,
            Self::Shared(lease) => lease.duplex().reply(body).await,
        }
    }

    pub(super) async fn close(&self, lane: Lane) {
        match self {
            Self::Http(link) => link.close().await,
            Self::Own(duplex) => duplex.close().await,
            Self::Shared(lease) => lease.close(lane).await,
        }
    }

    /// Frees what is held here. A session at a server over HTTP stays there; a pipe ends with its server.
    pub(super) async fn leave(&self, lane: Lane) {
        match self {
            Self::Http(link) => link.leave(),
            Self::Own(_) | Self::Shared(_) => self.close(lane).await,
        }
    }

    /// Opens the stream of what the server says outside of answers; pipes have no other.
    pub(super) fn listen(&self) {
        match self {
            Self::Http(link) => link.listen_for_client(),
            Self::Own(_) | Self::Shared(_) => {}
        }
    }

    /// What another replica needs to go on with the session.
    pub(super) fn handshake(&self) -> Option<Handshake> {
        match self {
            Self::Http(link) => link.handshake(),
            Self::Own(duplex) => duplex.greeting().handshake(None),
            Self::Shared(_) => None,
        }
    }

    /// The revision that the server settled on when the session was opened.
    pub(super) fn version(&self) -> Option<ProtocolVersion> {
        match self {
            Self::Http(link) => link.greeting().version(),
            Self::Own(duplex) => duplex.greeting().version(),
            Self::Shared(_) => None,
        }
    }
}
