//! Opening a session again at a server that has forgotten it, after a restart for example.

use std::sync::Arc;

use domain::{Answer, Failure, lock};
use futures_util::StreamExt;
use protocol::{Kind, Message};
use tokio::time::{Instant, timeout_at};

use super::{HttpLink, Phase, Says, is_answer};
use crate::failure;
use crate::greeting::Words;
use crate::parcel::Parcel;
use crate::session::Miss;

impl HttpLink {
    /// Opens the session again, once for all who wait for it. With `probing`, as for any message.
    pub(super) async fn renew(
        self: &Arc<Self>,
        probing: bool,
        deadline: Instant,
    ) -> Result<(), Miss> {
        let alone = timeout_at(deadline, self.renewing.lock()).await;
        let _alone = alone.map_err(|_| self.late())?;
        if !matches!(*lock(&self.phase), Phase::Forgotten) {
            return Ok(());
        }
        let Some(words) = self.greeting.words() else {
            return Err(failure::forgotten().into());
        };
        // Requests wait a little, as the server may want to hear the opening first.
        self.set_opening(true);
        let again = timeout_at(deadline, self.open_again(words, probing, deadline)).await;
        let again = again.unwrap_or_else(|_| Err(self.late().into()));
        match &again {
            Ok(()) => tracing::info!(server = self.shared.name(), "opened a session again"),
            Err(_) => *lock(&self.phase) = Phase::Forgotten,
        }
        if lock(&self.listener).is_none() || again.is_err() {
            self.set_opening(false);
        }
        self.inbox.lost_session(again.is_ok());
        again
    }

    async fn open_again(
        self: &Arc<Self>,
        words: Words,
        probing: bool,
        deadline: Instant,
    ) -> Result<(), Miss> {
        let answer = self.ask_own(&words.initialize, probing, deadline).await?;
        if answer.kind() != Kind::Response {
            return Err(failure::not_again().into());
        }
        let Some(initialized) = words.initialized else { return Ok(()) };
        let says = Says::of(lock(&self.phase).clone());
        let told = self.notify(initialized, says, probing, deadline).await;
        told.map_err(Miss::into_failure)?;
        self.listen();
        let (link, stop) = (Arc::clone(self), self.stop.clone());
        let compare = async move {
            let ask = async |list: &Message| {
                let asked = link.ask_own(list, false, link.shared.deadline()).await;
                asked.map_err(Miss::into_failure)
            };
            link.tools.compare(ask).await;
        };
        tokio::spawn(async move { stop.run_until_cancelled(compare).await });
        Ok(())
    }

    /// Sends a request of our own and waits for its answer.
    async fn ask_own(
        self: &Arc<Self>,
        message: &Message,
        probing: bool,
        deadline: Instant,
    ) -> Result<Message, Miss> {
        let flight = self.ledger.enter_own(message);
        let mut messages = match self.fly(Parcel::own(message), flight, probing, deadline).await? {
            Answer::Message(answer) => return Ok(answer),
            Answer::Stream(messages) => messages,
            Answer::Accepted => return Err(failure::not_again().into()),
        };
        while let Some(message) = messages.next().await {
            let message: Result<Message, Failure> = message;
            match message? {
                answer if is_answer(&answer) => return Ok(answer),
                other => self.inbox.deliver(other).await,
            }
        }
        Err(failure::not_again().into())
    }
}
