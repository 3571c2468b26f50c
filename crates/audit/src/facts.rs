//! What stays the same over many rows, kept once: the table `audit_facts`.
//!
//! Nothing is remembered between transactions: a transaction may be rolled back, the file may be another one, and
//! retention may have removed a row, after which a remembered number would name nothing, or something else. Within
//! one, an address says which facts are meant, for the events of the transaction hold them.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};

/// Bytes of the digest by which facts are found.
const DIGEST: usize = 16;

const FIND: &str = "SELECT id, last_day FROM audit_facts WHERE digest = ?";
const ADD: &str = "INSERT INTO audit_facts (digest, last_day, json) VALUES (?, ?, ?)";
const PROLONG: &str = "UPDATE audit_facts SET last_day = ?2 WHERE id = ?1";

/// The facts that the rows of one transaction name.
pub(crate) struct Facts<'connection> {
    connection: &'connection Connection,
    /// Number and last day, by the address of the text.
    known: HashMap<*const u8, (i64, i64)>,
}

impl<'connection> Facts<'connection> {
    pub(crate) fn new(connection: &'connection Connection) -> Self {
        Self { connection, known: HashMap::new() }
    }

    /// The number of `facts`, which a row of the `day`th day since 1970 names; keeps them if they are new.
    pub(crate) fn number(&mut self, facts: &Arc<str>, day: i64) -> rusqlite::Result<i64> {
        let address = facts.as_ptr();
        let (id, last_day) = match self.known.get(&address) {
            Some(known) => *known,
            None => self.find_or_add(facts, day)?,
        };
        if day > last_day {
            self.connection.prepare_cached(PROLONG)?.execute((id, day))?;
        }
        self.known.insert(address, (id, day.max(last_day)));
        Ok(id)
    }

    fn find_or_add(&self, facts: &str, day: i64) -> rusqlite::Result<(i64, i64)> {
        let digest = Sha256::digest(facts);
        let digest = digest.get(..DIGEST);
        let found = self
            .connection
            .prepare_cached(FIND)?
            .query_row([digest], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some(found) = found {
            return Ok(found);
        }
        self.connection.prepare_cached(ADD)?.execute((digest, day, facts))?;
        Ok((self.connection.last_insert_rowid(), day))
    }
}

#[cfg(test)]
mod tests;
