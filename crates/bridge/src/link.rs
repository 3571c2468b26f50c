//! One client at the server: which way each message goes.
//!
//! Where client and server share an era, messages go straight to the connection underneath, which
//! costs one look at the era. Answers and cancellations name no era: they go where the requests of
//! this client went.

mod moving;

use std::future::ready;
use std::sync::{Arc, Mutex, OnceLock};

use domain::{Answer, BoxFuture, Connection, ErrorKind, Failure, Handshake, Inbox, Party, Permit};
use futures_util::{StreamExt, TryStreamExt};
use protocol::{Era, Kind, Message, Method, ProtocolVersion};

use self::moving::{Place, changed, may_be_repeated};
use crate::ask::{ask, asks_for};
use crate::bridge::{Direction, Shared};
use crate::eras::{was_misunderstood, was_taken_for_old};
use crate::legacy_client::LegacyClient;
use crate::modern_client::ModernClient;

/// The connection of one client, or of stateless ones.
pub(crate) struct Link {
    shared: Arc<Shared>,
    inbox: Arc<dyn Inbox>,
    many: bool,
    raw: Arc<dyn Connection>,
    /// Where the session is, if not on `raw`.
    moved: OnceLock<Mutex<Place>>,
    /// Held while the session moves because the server has changed its era.
    moving: tokio::sync::Mutex<()>,
    /// Stateless requests, where the server wants sessions.
    modern: OnceLock<ModernClient>,
}

impl Link {
    /// A connection on which nothing was said yet; a resumed session is where it was.
    pub(crate) fn new(shared: &Arc<Shared>, inbox: Arc<dyn Inbox>, party: Party) -> Self {
        let many = matches!(party, Party::Many);
        let moved = OnceLock::new();
        let party = match party {
            Party::Resumed(handshake) if handshake.server_version.era() == Era::Modern => {
                if let Some(client) = LegacyClient::resumed(shared, &inbox, &handshake) {
                    drop(moved.set(Mutex::new(Place::Here(client))));
                }
                Party::One
            }
            Party::One | Party::Resumed(_) | Party::Many => party,
        };
        let raw = shared.raw().connect(Arc::clone(&inbox), party);
        let (shared, moving, modern) = (Arc::clone(shared), Default::default(), OnceLock::new());
        Self { shared, inbox, many, raw, moved, moving, modern }
    }

    /// A request or notification of 2026-07-28.
    fn speak(&self, permit: Permit, message: Message) -> BoxFuture<'_, Result<Answer, Failure>> {
        if self.shared.eras().is_modern() {
            self.pass(permit, message)
        } else {
            Box::pin(self.stateless(permit, message))
        }
    }

    /// The tools, for clients over HTTP: their calls repeat in headers what the list says they do.
    async fn list_tools(&self, permit: Permit, message: Message) -> Result<Answer, Failure> {
        let shared = Arc::clone(&self.shared);
        let learn = move |answer: &Message| {
            if let Some(result) = answer.result() {
                shared.tools().learn(result);
            }
        };
        Ok(match self.speak(permit, message).await? {
            Answer::Message(answer) => {
                learn(&answer);
                Answer::Message(answer)
            }
            Answer::Stream(pieces) => {
                Answer::Stream(pieces.inspect_ok(move |piece| learn(piece)).boxed())
            }
            Answer::Accepted => Answer::Accepted,
        })
    }

    /// A request or notification of 2026-07-28, at a server that was not found to speak it.
    async fn stateless(&self, permit: Permit, message: Message) -> Result<Answer, Failure> {
        if self.shared.find_modern(&permit).await? {
            return self.pass(permit, message).await;
        }
        let (again, spare) = (permit.translated(), message.clone());
        let client = self.modern();
        let answer = client.send(permit, message).await;
        if !was_taken_for_old(&answer) || !self.shared.is_modern_by_now(&again).await {
            return answer;
        }
        client.retire();
        if !may_be_repeated(&spare, &answer) {
            return Err(changed());
        }
        self.pass(again, spare).await
    }

    /// The same at a server that speaks it.
    fn pass(&self, permit: Permit, message: Message) -> BoxFuture<'_, Result<Answer, Failure>> {
        let look = permit.translated();
        let sent = match self.place() {
            None => self.raw.send(permit, message),
            Some(place) => Box::pin(async move {
                match &place {
                    Place::There(raw) => raw.send(permit, message).await,
                    Place::Here(client) => client.raw().send(permit, message).await,
                }
            }),
        };
        Box::pin(async move {
            let answer = sent.await;
            if was_misunderstood(&answer) {
                return Box::pin(self.doubt(answer, look)).await;
            }
            answer
        })
    }

    /// What the client gets for a stateless request that the server seems not to understand any more:
    /// one that refuses it because it has become a server with sessions is translated from now on.
    async fn doubt(
        &self,
        answer: Result<Answer, Failure>,
        look: Permit,
    ) -> Result<Answer, Failure> {
        self.shared.eras().doubt();
        if answer.is_ok() && self.shared.is_modern_no_more(&look).await {
            return Err(changed());
        }
        answer
    }

    fn modern(&self) -> &ModernClient {
        self.modern.get_or_init(|| {
            self.shared.note(Direction::ModernToLegacy);
            let (raw, clock) = (Arc::clone(self.shared.raw()), Arc::clone(self.shared.clock()));
            ModernClient::new(raw, self.many, clock)
        })
    }

    /// Opens the session: at the server if it has sessions, else here. A server that refuses
    /// `initialize` is taken for a stateless one only if it answers as one; otherwise the refusal
    /// stands.
    async fn open(&self, permit: Permit, initialize: Message) -> Result<Answer, Failure> {
        if self.shared.eras().has_no_sessions() {
            if let Ok(answer) = self.open_here(&permit, &initialize).await {
                return Ok(answer);
            }
            // Whatever was known of the server no longer holds.
            self.shared.eras().doubt();
        }
        let sent = permit.translated();
        let answer = ask(&*self.raw, sent, initialize.clone(), Some(&*self.inbox)).await;
        match &answer {
            Ok(answer) if answer.kind() == Kind::Response => self.shared.eras().has_sessions(),
            Err(failure) if failure.unsent || failure.kind == ErrorKind::Overloaded => {}
            Ok(_) | Err(_) => {
                if let Ok(answer) = self.open_here(&permit, &initialize).await {
                    return Ok(answer);
                }
            }
        }
        answer.map(Answer::Message)
    }

    async fn open_here(&self, permit: &Permit, initialize: &Message) -> Result<Answer, Failure> {
        let (client, answer) =
            LegacyClient::open(&self.shared, &self.inbox, permit, initialize).await?;
        self.keep_here(client);
        Ok(answer)
    }

    /// From now on the session is the gateway's.
    fn keep_here(&self, client: Arc<LegacyClient>) {
        self.shared.eras().is_stateless(client.is_offered_sessions());
        self.shared.note(Direction::LegacyToModern);
        self.move_to(Place::Here(client));
    }

    /// Ends what is the gateway's alone: nobody else can go on with it.
    async fn close_bridges(&self) {
        match self.place() {
            Some(Place::Here(client)) => client.close().await,
            Some(Place::There(raw)) => raw.close().await,
            None => {}
        }
        if let Some(client) = self.modern.get() {
            client.close().await;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(client) = self.here() {
            client.stop();
        }
    }
}

impl Connection for Link {
    fn send(&self, permit: Permit, message: Message) -> BoxFuture<'_, Result<Answer, Failure>> {
        let speaks = matches!(message.kind(), Kind::Request | Kind::Notification);
        if speaks && message.era() == Era::Modern {
            if self.many && asks_for(&message, Method::ToolsCall) {
                if let Err(mismatch) = self.shared.tools().check(&message) {
                    return Box::pin(ready(Err(mismatch)));
                }
            } else if self.many && asks_for(&message, Method::ToolsList) {
                return Box::pin(self.list_tools(permit, message));
            }
            return self.speak(permit, message);
        }
        let moved = match self.place() {
            Some(Place::Here(client)) => {
                return Box::pin(self.attend_here(client, permit, message));
            }
            Some(Place::There(raw)) => Some(raw),
            None => None,
        };
        if asks_for(&message, Method::Initialize) {
            return Box::pin(self.open(permit, message));
        }
        match self.modern.get() {
            Some(client) if self.raw.version().is_none() => Box::pin(client.send(permit, message)),
            Some(_) | None => self.attend(moved, permit, message),
        }
    }

    fn refuse<'a>(&'a self, request: &'a Message, failure: &'a Failure) -> BoxFuture<'a, ()> {
        match self.place() {
            Some(Place::Here(client)) => {
                client.refuse(request, failure);
                Box::pin(async {})
            }
            Some(Place::There(raw)) => Box::pin(async move { raw.refuse(request, failure).await }),
            None => self.raw.refuse(request, failure),
        }
    }

    fn dismiss<'a>(&'a self, response: &'a Message, failure: &'a Failure) -> BoxFuture<'a, ()> {
        if let Some(client) = self.modern.get() {
            client.dismiss(response, failure);
        }
        self.raw.dismiss(response, failure)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.close_bridges().await;
            self.raw.close().await;
        })
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.close_bridges().await;
            self.raw.leave().await;
        })
    }

    fn listen(&self) -> BoxFuture<'_, ()> {
        match self.place() {
            Some(Place::There(raw)) => Box::pin(async move { raw.listen().await }),
            Some(Place::Here(_)) | None => self.raw.listen(),
        }
    }

    fn handshake(&self) -> Option<Handshake> {
        match self.place() {
            Some(Place::Here(client)) => Some(client.handshake()),
            Some(Place::There(raw)) => raw.handshake(),
            None => self.raw.handshake(),
        }
    }

    fn version(&self) -> Option<ProtocolVersion> {
        match self.place() {
            Some(Place::Here(_)) => return Some(ProtocolVersion::V2026_07_28),
            Some(Place::There(raw)) => raw.version(),
            None => self.raw.version(),
        }
        .or_else(|| self.modern.get().and_then(ModernClient::version))
    }
}

#[cfg(test)]
mod tests;
