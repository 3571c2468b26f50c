//! Where a session goes when its server changes its era under it: sessions become the gateway's, and
//! the server's again. The client's session goes on; what it may have to look at again it is told.

use std::mem;
use std::sync::{Arc, Mutex};

use domain::{Answer, BoxFuture, Connection, ErrorKind, Failure, Party, Permit, lock};
use protocol::{Kind, Message, Method, encode, object};

use super::Link;
use crate::ask::{ask, request, written};
use crate::bridge::Deaf;
use crate::eras::{was_misunderstood, was_refused_unread};
use crate::legacy_client::LegacyClient;
use crate::notifications::LISTS;

/// Where a session is that is not, or no more, where it began.
#[derive(Clone)]
pub(super) enum Place {
    /// At the server, over another connection than the first.
    There(Arc<dyn Connection>),
    /// Here: the server has no sessions.
    Here(Arc<LegacyClient>),
}

impl Link {
    /// Where the session is; `None` for one that is at the server, where it began.
    pub(super) fn place(&self) -> Option<Place> {
        self.moved.get().map(|moved| lock(moved).clone())
    }

    /// The session, where it is the gateway's.
    pub(super) fn here(&self) -> Option<Arc<LegacyClient>> {
        match self.place()? {
            Place::Here(client) => Some(client),
            Place::There(_) => None,
        }
    }

    /// The session is there from now on. Requests that are under way where it was end there.
    pub(super) fn move_to(&self, place: Place) {
        let moved = self.moved.get_or_init(|| Mutex::new(Place::There(Arc::clone(&self.raw))));
        let before = mem::replace(&mut *lock(moved), place);
        self.shared.tools().changed();
        match before {
            Place::Here(client) => client.leave(),
            // The connection on which the server refuses a session is of no more use.
            Place::There(refused) => drop(tokio::spawn(async move { refused.close().await })),
        }
    }

    /// A message of a session at the server, over the connection it moved to or the first.
    pub(super) fn attend(
        &self,
        moved: Option<Arc<dyn Connection>>,
        permit: Permit,
        message: Message,
    ) -> BoxFuture<'_, Result<Answer, Failure>> {
        let look = permit.translated();
        let sent = match &moved {
            None => self.raw.send(permit, message),
            Some(raw) => {
                let raw = Arc::clone(raw);
                Box::pin(async move { raw.send(permit, message).await })
            }
        };
        Box::pin(async move {
            let answer = sent.await;
            // Rare, and large: not part of the future of each message.
            if self.shared.may_have_lost_sessions(&answer)
                && Box::pin(self.is_moved_here(moved.as_ref(), &look)).await
            {
                return Err(changed());
            }
            answer
        })
    }

    /// Goes on with the session here if the server has become a stateless one: it refuses another
    /// session that begins like this one, and offers what a stateless server does.
    async fn is_moved_here(&self, moved: Option<&Arc<dyn Connection>>, permit: &Permit) -> bool {
        let _alone = self.moving.lock().await;
        if self.here().is_some() {
            return true;
        }
        if !self.shared.eras().is_modern() && !self.shared.is_modern_by_now(permit).await {
            return false;
        }
        let Some(handshake) = moved.unwrap_or(&self.raw).handshake() else { return false };
        let Ok(initialize) = Message::parse(handshake.initialize.clone()) else { return false };
        let other = self.shared.raw().connect(Arc::new(Deaf), Party::One);
        let answer = ask(&*other, permit.translated(), initialize, None).await;
        tokio::spawn(async move { other.close().await });
        let refused = answer.map_or_else(|lost| !lost.unsent, |said| said.kind() == Kind::Error);
        let client = LegacyClient::resumed(&self.shared, &self.inbox, &handshake);
        let Some(client) = client.filter(|_| refused) else { return false };
        let Some(capabilities) = client.offered(permit).await else { return false };
        self.tell_changes(&capabilities);
        self.keep_here(client);
        true
    }

    /// A message of a session that is the gateway's. A request that is not understood may have met a
    /// server that has sessions again: then this one goes on there, and so does the request if it may
    /// be sent again.
    pub(super) async fn attend_here(
        &self,
        client: Arc<LegacyClient>,
        permit: Permit,
        message: Message,
    ) -> Result<Answer, Failure> {
        let (again, spare) = (permit.translated(), message.clone());
        let answer = client.send(permit, message).await;
        if spare.kind() != Kind::Request
            || !was_misunderstood(&answer)
            || !self.shared.is_modern_no_more(&again).await
        {
            return answer;
        }
        let there = Box::pin(self.move_there(&client, &again)).await?;
        if !may_be_repeated(&spare, &answer) {
            return Err(changed());
        }
        there.send(again, spare).await
    }

    async fn move_there(
        &self,
        from: &Arc<LegacyClient>,
        permit: &Permit,
    ) -> Result<Arc<dyn Connection>, Failure> {
        let _alone = self.moving.lock().await;
        match self.place() {
            Some(Place::There(raw)) => return Ok(raw),
            Some(Place::Here(client)) if !Arc::ptr_eq(&client, from) => return Err(changed()),
            Some(Place::Here(_)) | None => {}
        }
        let raw = self.shared.raw().connect(Arc::clone(&self.inbox), Party::One);
        match self.open_there(&*raw, from, permit).await {
            Ok(capabilities) => {
                self.shared.eras().has_sessions();
                self.move_to(Place::There(Arc::clone(&raw)));
                self.tell_changes(&capabilities);
                let server = self.shared.raw().view().name;
                tracing::info!(
                    server,
                    "the server has sessions again: one of the gateway's moved there"
                );
                Ok(raw)
            }
            Err(failure) => {
                raw.close().await;
                Err(failure)
            }
        }
    }

    /// Opens the session at the server with the client's own words, and brings it to where it was.
    /// Gives the capabilities of the server, raw JSON.
    async fn open_there(
        &self,
        raw: &dyn Connection,
        from: &LegacyClient,
        permit: &Permit,
    ) -> Result<String, Failure> {
        let initialize = Message::parse(from.handshake().initialize);
        let initialize = initialize.map_err(|error| Failure::from(&error))?;
        let answer = ask(raw, permit.translated(), initialize, Some(&*self.inbox)).await?;
        let result = answer.result().filter(|_| answer.kind() == Kind::Response);
        let result = result.ok_or_else(|| {
            changed().detail(format!("`initialize` was answered {}", answer.error().unwrap_or("?")))
        })?;
        let capabilities = object::get(result, "capabilities").unwrap_or("{}").to_owned();
        let initialized = written(encode::notification(Method::Initialized.as_str(), None))?;
        raw.send(permit.translated(), initialized).await?;
        for (id, (method, params)) in (1..).zip(from.wishes()) {
            let wish = request(id, method.as_str(), &params)?;
            let answer = ask(raw, permit.translated(), wish, Some(&*self.inbox)).await;
            if !answer.is_ok_and(|answer| answer.kind() == Kind::Response) {
                tracing::debug!(%method, "not taken over by a server that has sessions again");
            }
        }
        Ok(capabilities)
    }

    /// Tells the client to look again at every list that the server has now.
    fn tell_changes(&self, capabilities: &str) {
        let lists = LISTS.iter().filter(|it| object::get(capabilities, it.feature).is_some());
        let changes = lists.map(|list| encode::notification(list.changed.as_str(), None));
        let changes: Vec<_> = changes.filter_map(|body| written(body).ok()).collect();
        let inbox = Arc::clone(&self.inbox);
        tokio::spawn(async move {
            for change in changes {
                inbox.deliver(change).await;
            }
        });
    }
}

/// Whether a request may go to the server in its other era after this answer: nothing of it was
/// sent, the server refused it unread, or reading twice does no harm.
pub(super) fn may_be_repeated(request: &Message, answer: &Result<Answer, Failure>) -> bool {
    let refused = match answer {
        Ok(Answer::Message(answer)) => answer.error_code().is_some_and(was_refused_unread),
        Ok(Answer::Accepted | Answer::Stream(_)) => false,
        Err(failure) => failure.unsent,
    };
    let reads = !matches!(request.method(), None | Some(Method::ToolsCall | Method::Other));
    refused || reads
}

/// What a client is told whose request fell into the change; what it does next goes the new way.
pub(super) fn changed() -> Failure {
    let text = "the server has changed its revision of MCP: try again";
    Failure::new(ErrorKind::UpstreamError, text)
}

#[cfg(test)]
mod tests;
