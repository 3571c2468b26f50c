//! The decision on a client that opens a session or a connection (stage `connect`), before its first message is looked
//! at. A stateless client opens none: each of its messages is decided so.
//!
//! It is asked for only where a rule speaks of the stage. The decision is in the row of the `initialize` (or stateless
//! message) that it was made for; for a connection without a message it has a row of its own.

use std::sync::Arc;

use domain::{Failure, PolicyInput, SessionView, Stage};
use session::Session;

use crate::entry::Entry;
use crate::reply::Reply;
use crate::ruling::Ruling;
use crate::subject;
use crate::{Caller, Router};

/// HTTP status of a refused connection: there is no request yet whose answer could say it.
const FORBIDDEN: u16 = 403;

/// A client that gets no session. That is recorded.
pub struct Refused {
    /// Why.
    pub failure: Failure,
    /// What it is answered, where there is a way.
    pub reply: Reply,
}

impl Router {
    /// Opens a session with its upstream side, for a transport on which the connection is the session.
    ///
    /// # Errors
    ///
    /// Policy refuses the client, or the limit of sessions is reached and none of them is idle.
    pub async fn open(self: &Arc<Self>, caller: &Caller) -> Result<Arc<Session>, Refused> {
        self.let_in(caller).await?;
        match self.open_session(caller) {
            Ok(session) => Ok(session),
            Err(failure) => {
                let reply = self.refuse(caller, failure.clone(), None, 0).await;
                Err(Refused { failure, reply })
            }
        }
    }

    /// Decides on a connection that brings no message.
    async fn let_in(self: &Arc<Self>, caller: &Caller) -> Result<(), Refused> {
        if !self.ports.policy.current().examines(Stage::Connect) {
            return Ok(());
        }
        let mut entry = match self.open_entry(caller, 0).await {
            Ok(entry) => entry,
            Err(unrecorded) => {
                let reply = unrecorded.reply(None);
                return Err(Refused { failure: unrecorded.failure, reply });
            }
        };
        match self.refuses(caller, &mut entry).await {
            None => {
                entry.close(None);
                Ok(())
            }
            Some(ruling) => {
                let mut failure = ruling.failure();
                if let Some(reason) = ruling.decision.reasons.first() {
                    failure = failure.detail(&reason.message);
                }
                Err(Refused { failure, reply: entry.turn_away(&ruling, FORBIDDEN) })
            }
        }
    }

    /// Asks policy about a client that is about to come in; gives the denial that holds.
    pub(crate) async fn refuses(&self, caller: &Caller, entry: &mut Entry) -> Option<Ruling> {
        let input = PolicyInput {
            stage: Stage::Connect,
            method: "",
            id: None,
            tool: None,
            resource: None,
            prompt: None,
            arguments: None,
            params: None,
            size: 0,
            result: None,
            agent: &self.options.agent,
            identity: &self.options.identity,
            session: SessionView::none(&self.blank),
            server: self.ports.upstream.view(),
            context: subject::context(self, caller, entry.received_at()),
        };
        let ruling = self.judge(&input, None, entry).await;
        ruling.permit().is_none().then_some(ruling)
    }
}
