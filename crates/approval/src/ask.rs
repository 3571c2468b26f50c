//! The gateway's side: asks, recognises what was asked before, and waits.
//!
//! Everything that touches the file runs off the async workers. A grant is used up by the message that finds it, in one
//! statement, so two messages never share one use.

use std::sync::Arc;
use std::time::Duration;

use domain::{Approval, ApprovalRequest, Approvals, BoxFuture, ErrorKind, Failure};
use rusqlite::{
    Connection, OptionalExtension as _, Transaction, TransactionBehavior, named_params,
};

use crate::{ApprovalStore, Error, hash};

/// Most questions that are open at a time.
pub(crate) const MAX_PENDING: u32 = 10_000;
/// Most questions that are kept after nobody answered them.
const MAX_EXPIRED: u32 = 1_000;
/// Time between two looks for an answer while a message waits.
const POLL: Duration = Duration::from_millis(200);
/// Most bytes kept of the arguments for the person.
const ARGUMENTS_LIMIT: usize = 4096;
/// How long what nobody can act on any more is kept, in microseconds: 30 days.
const KEEP: i64 = 30 * 24 * 60 * 60 * 1_000_000;

/// What the client is told when the file fails.
const UNASKED: &str = "the approval cannot be asked for";

/// A grant that lets the message pass; the narrowest first.
const FIND_GRANT: &str = "
    SELECT id FROM approval
    WHERE agent = :agent AND server = :server AND method = :method AND state = 'granted' AND granted_until > :now
      AND (scope = 'agent'
           OR tool IS :tool AND target IS :target AND definition IS :definition
              AND (scope = 'tool' OR arguments_hash = :hash))
    ORDER BY scope = 'agent', scope = 'tool', granted_until
    LIMIT 1";

/// Uses a grant once, if it still is one.
const USE_GRANT: &str = "
    UPDATE approval
    SET uses = uses + 1, state = iif(uses + 1 >= uses_limit, 'used', state)
    WHERE id = :id AND state = 'granted' AND granted_until > :now";

/// The same question in that state.
const FIND_SAME: &str = "
    SELECT id FROM approval
    WHERE agent = :agent AND server = :server AND method = :method AND state = :state AND expires_at > :now
      AND tool IS :tool AND target IS :target AND definition IS :definition AND arguments_hash = :hash
    LIMIT 1";

const PRUNE: &str = "
    DELETE FROM approval WHERE max(expires_at, coalesce(granted_until, 0)) < :before";

/// Clients ask as often as they like: of what nobody answered in time, the newest are enough.
const PRUNE_EXPIRED: &str = "
    DELETE FROM approval WHERE rowid IN (
        SELECT rowid FROM approval WHERE state = 'pending' AND expires_at <= :now
        ORDER BY expires_at DESC LIMIT -1 OFFSET :most)";

const COUNT: &str = "SELECT count(*) FROM approval WHERE state = 'pending' AND expires_at > :now";

const ADD: &str = "
    INSERT OR IGNORE INTO approval
        (id, asked_at, expires_at, agent, server, method, tool, target, definition, arguments_hash, arguments, message)
    VALUES (:id, :now, :expires, :agent, :server, :method, :tool, :target, :definition, :hash, :arguments, :message)";

/// A request, ready to be looked up any number of times.
struct Asked {
    request: ApprovalRequest,
    hash: [u8; 32],
    arguments: Option<String>,
}

impl Asked {
    fn new(request: ApprovalRequest) -> Self {
        let hash = hash::of(request.arguments.as_deref());
        let arguments = request.arguments.as_deref().map(shown);
        Self { request, hash, arguments }
    }

    /// The answer that somebody has given, if any; uses the grant.
    fn answer(&self, connection: &Connection, now: i64) -> rusqlite::Result<Option<Approval>> {
        let ApprovalRequest { agent_id, server, method, tool, target, definition, .. } =
            &self.request;
        loop {
            let grant: Option<String> = connection
                .prepare_cached(FIND_GRANT)?
                .query_row(
                    named_params! {":agent": agent_id, ":server": server, ":method": method, ":tool": tool,
                    ":target": target, ":definition": definition, ":hash": self.hash, ":now": now},
                    |row| row.get(0),
                )
                .optional()?;
            let Some(id) = grant else { break };
            let params = named_params! {":id": id, ":now": now};
            if connection.prepare_cached(USE_GRANT)?.execute(params)? == 1 {
                return Ok(Some(Approval::Granted(id.into())));
            }
        }
        Ok(self.same(connection, "denied", now)?.map(|id| Approval::Denied(id.into())))
    }

    fn same(
        &self,
        connection: &Connection,
        state: &str,
        now: i64,
    ) -> rusqlite::Result<Option<String>> {
        let ApprovalRequest { agent_id, server, method, tool, target, definition, .. } =
            &self.request;
        connection
            .prepare_cached(FIND_SAME)?
            .query_row(
                named_params! {":agent": agent_id, ":server": server, ":method": method, ":tool": tool,
                ":target": target, ":definition": definition, ":hash": self.hash, ":state": state, ":now": now},
                |row| row.get(0),
            )
            .optional()
    }

    /// Adds the question; `None` when there are too many.
    fn add(
        &self,
        transaction: &Transaction<'_>,
        now: i64,
        expires: i64,
    ) -> rusqlite::Result<Option<String>> {
        transaction
            .prepare_cached(PRUNE)?
            .execute(named_params! {":before": now.saturating_sub(KEEP)})?;
        transaction
            .prepare_cached(PRUNE_EXPIRED)?
            .execute(named_params! {":now": now, ":most": MAX_EXPIRED})?;
        let open: u32 = transaction
            .prepare_cached(COUNT)?
            .query_row(named_params! {":now": now}, |row| row.get(0))?;
        if open >= MAX_PENDING {
            return Ok(None);
        }
        let ApprovalRequest {
            decision_id,
            agent_id,
            server,
            method,
            tool,
            target,
            definition,
            message,
            ..
        } = &self.request;
        // One decision may ask twice, when a message holds several; the second question gets a name of its own.
        for id in [*decision_id, domain::random_uuid()] {
            let id = id.to_string();
            let added = transaction.prepare_cached(ADD)?.execute(named_params! {":id": id, ":now": now,
                ":expires": expires, ":agent": agent_id, ":server": server, ":method": method, ":tool": tool,
                ":target": target, ":definition": definition, ":hash": self.hash, ":arguments": self.arguments,
                ":message": message})?;
            if added == 1 {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}

impl ApprovalStore {
    /// Answers from what is known, else keeps the question.
    fn ask_once(&self, asked: &Asked) -> Result<Approval, Error> {
        let now = self.now();
        let approval = self.with(|connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let approval = match asked.answer(&transaction, now)? {
                Some(answer) => Some(answer),
                None => match asked.same(&transaction, "pending", now)? {
                    Some(id) => Some(id),
                    None => asked.add(&transaction, now, self.expiry(now))?,
                }
                .map(|id| Approval::Pending(id.into())),
            };
            transaction.commit()?;
            Ok(approval)
        })?;
        approval.ok_or(Error::Full(MAX_PENDING))
    }

    /// The answer that has come in the meantime.
    fn look(&self, asked: &Asked) -> Result<Option<Approval>, Error> {
        let now = self.now();
        self.with(|connection| asked.answer(connection, now))
    }

    async fn wait(&self, request: ApprovalRequest) -> Result<Approval, Failure> {
        let wait = request.wait;
        let store = self.clone();
        let (asked, first) = off_the_workers(move || {
            let asked = Arc::new(Asked::new(request));
            store.ask_once(&asked).map(|first| (asked, first))
        })
        .await?;
        if wait.is_zero() || !matches!(first, Approval::Pending(_)) {
            return Ok(first);
        }
        let answered = async {
            loop {
                tokio::time::sleep(POLL).await;
                let (store, asked) = (self.clone(), Arc::clone(&asked));
                if let Some(answer) = off_the_workers(move || store.look(&asked)).await? {
                    return Ok(answer);
                }
            }
        };
        tokio::time::timeout(wait, answered).await.unwrap_or(Ok(first))
    }
}

/// Runs what blocks on a thread where it may.
async fn off_the_workers<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    let failure = match done {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(full @ Error::Full(_))) => {
            Failure::new(ErrorKind::Overloaded, "too many messages wait for an approval")
                .detail(full)
        }
        Ok(Err(error)) => Failure::new(ErrorKind::Internal, UNASKED).detail(error),
        Err(panic) => Failure::new(ErrorKind::Internal, UNASKED).detail(panic),
    };
    Err(failure)
}

impl Approvals for ApprovalStore {
    fn ask(&self, request: ApprovalRequest) -> BoxFuture<'_, Result<Approval, Failure>> {
        Box::pin(self.wait(request))
    }
}

/// The arguments for the person: masked, and cut when they are long.
fn shown(arguments: &str) -> String {
    let Some(masked) = mask::json(arguments) else {
        return format!("{} bytes that are not JSON", arguments.len());
    };
    match masked.get(..masked.floor_char_boundary(ARGUMENTS_LIMIT)) {
        Some(head) if head.len() < masked.len() => format!("{head}… [{} bytes]", arguments.len()),
        _ => masked.into_owned(),
    }
}

#[cfg(test)]
mod tests;
