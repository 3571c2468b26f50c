//! The person's side: lists questions, grants, denies.

use std::num::NonZeroU32;

use rusqlite::{Connection, TransactionBehavior, named_params};

use crate::store::{after, micros, rfc3339};
use crate::{ApprovalStore, Error, Filter, Grant, Question, Scope, State};

/// Most questions in one list.
const LIST_LIMIT: u32 = 1000;
/// Fewest characters by which a question is found.
const SHORTEST: usize = 4;

/// The columns of [`Question`], with the state as of `:now`.
const COLUMNS: &str = "
    id,
    CASE WHEN state = 'pending' AND expires_at <= :now THEN 'expired'
         WHEN state = 'granted' AND granted_until <= :now THEN 'expired'
         ELSE state END AS current,
    asked_at, expires_at, agent, server, method, tool, target, arguments, message, scope, granted_until, uses,
    uses_limit, decided_at, decided_by, note";

impl ApprovalStore {
    /// The newest questions, at most 1,000, the newest first.
    ///
    /// # Errors
    ///
    /// [`Error::Sqlite`] when the file cannot be read.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Question>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM approval
             WHERE (:state IS NULL OR current = :state) AND (:agent IS NULL OR agent = :agent)
               AND (:after IS NULL OR decided_at > :after)
             ORDER BY asked_at DESC, rowid DESC LIMIT :limit"
        );
        let now = self.now();
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(
                named_params! {":now": now, ":state": filter.state.map(State::as_str), ":agent": filter.agent,
                ":after": filter.decided_after.map(micros), ":limit": LIST_LIMIT},
                read,
            )?;
            rows.collect()
        })
    }

    /// Lets messages pass as `grant` says; gives the question as it is then. `id` may be its beginning. A denial can be
    /// turned into a grant.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`], [`Error::Ambiguous`], [`Error::Expired`], [`Error::Decided`] for what is granted already.
    pub fn grant(&self, id: &str, grant: &Grant) -> Result<Question, Error> {
        let now = self.now();
        self.decide(id, now, |connection, id| {
            connection.execute(
                "UPDATE approval SET state = 'granted', scope = :scope, granted_until = :until, uses = 0,
                     uses_limit = :limit, decided_at = :now, decided_by = :by, note = :note
                 WHERE id = :id",
                named_params! {":scope": grant.scope.as_str(), ":until": after(now, grant.lasts),
                    ":limit": grant.uses.map(NonZeroU32::get), ":now": now, ":by": grant.by, ":note": grant.note, ":id": id},
            )
        }, |state| matches!(state, State::Pending | State::Denied))
    }

    /// Denies the message, or takes a grant back; gives the question as it is then. `id` may be its beginning. The
    /// denial stands for `approval.expires`.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`], [`Error::Ambiguous`], [`Error::Expired`], [`Error::Decided`] for what is used up.
    pub fn deny(&self, id: &str, by: &str, note: Option<&str>) -> Result<Question, Error> {
        let now = self.now();
        let expires = self.expiry(now);
        self.decide(id, now, |connection, id| {
            connection.execute(
                "UPDATE approval SET state = 'denied', expires_at = :expires, scope = NULL, granted_until = NULL,
                     uses_limit = NULL, decided_at = :now, decided_by = :by, note = :note
                 WHERE id = :id",
                named_params! {":expires": expires, ":now": now, ":by": by, ":note": note, ":id": id},
            )
        }, |state| matches!(state, State::Pending | State::Denied | State::Granted))
    }

    fn decide(
        &self,
        id: &str,
        now: i64,
        change: impl FnOnce(&Connection, &str) -> rusqlite::Result<usize>,
        may_change: fn(State) -> bool,
    ) -> Result<Question, Error> {
        self.with(|connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let found = match find(&transaction, id, now)? {
                Ok(found) => found,
                Err(error) => return Ok(Err(error)),
            };
            if found.state == State::Expired {
                return Ok(Err(Error::Expired { id: found.id }));
            }
            if !may_change(found.state) {
                return Ok(Err(Error::Decided { id: found.id, state: found.state }));
            }
            change(&transaction, &found.id)?;
            let changed = find(&transaction, &found.id, now)?;
            transaction.commit()?;
            Ok(changed)
        })?
    }
}

/// The one question whose name begins with `id`.
fn find(connection: &Connection, id: &str, now: i64) -> rusqlite::Result<Result<Question, Error>> {
    let unknown = || Error::Unknown { id: id.to_owned() };
    if id.len() < SHORTEST {
        return Ok(Err(unknown()));
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM approval WHERE substr(id, 1, length(:id)) = lower(:id) LIMIT 2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_map(named_params! {":now": now, ":id": id}, read)?;
    let mut found = found.collect::<rusqlite::Result<Vec<Question>>>()?;
    Ok(match (found.pop(), found.pop()) {
        (Some(question), None) => Ok(question),
        (Some(_), Some(_)) => Err(Error::Ambiguous { id: id.to_owned() }),
        (None, _) => Err(unknown()),
    })
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Question> {
    let time = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(rfc3339));
    let state: String = row.get("current")?;
    let scope: Option<String> = row.get("scope")?;
    Ok(Question {
        id: row.get("id")?,
        // The table lets nothing else in.
        state: State::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .unwrap_or(State::Expired),
        asked_at: rfc3339(row.get("asked_at")?),
        expires_at: rfc3339(row.get("expires_at")?),
        agent: row.get("agent")?,
        server: row.get("server")?,
        method: row.get("method")?,
        tool: row.get("tool")?,
        target: row.get("target")?,
        arguments: row.get("arguments")?,
        message: row.get("message")?,
        scope: Scope::ALL.into_iter().find(|known| scope.as_deref() == Some(known.as_str())),
        granted_until: time("granted_until")?,
        uses: row.get("uses")?,
        uses_limit: row.get("uses_limit")?,
        decided_at: time("decided_at")?,
        decided_by: row.get("decided_by")?,
        note: row.get("note")?,
    })
}

#[cfg(test)]
mod tests;
