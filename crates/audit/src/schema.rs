//! The schema of the database and how an older one becomes the current one.
//!
//! A migration, once released, never changes: what comes later is a further one. `PRAGMA user_version` counts those
//! that a file has had, `PRAGMA application_id` marks the file as ours.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::Error;

/// `PRAGMA application_id` of an audit log: `MCPA` in ASCII.
const APPLICATION_ID: i64 = 0x4D43_5041;

/// The steps from an empty file to the current schema.
pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001_audit_log.sql"),
    include_str!("schema/0002_server_version.sql"),
    include_str!("schema/0003_evidence.sql"),
];

/// Brings the database to the schema that `migrations` ends with, in one transaction.
///
/// # Errors
///
/// [`Error::Foreign`] and [`Error::Newer`] for a database that is not ours to change.
pub(crate) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), Error> {
    let wrap = |cause| Error::sqlite(path, cause);
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrap)?;
    let done = version(&transaction, path, migrations.len())?;
    for (step, sql) in (1_i64..).zip(migrations).skip(done) {
        transaction.execute_batch(sql).map_err(wrap)?;
        transaction.pragma_update(None, "user_version", step).map_err(wrap)?;
    }
    if done == 0 {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(wrap)?;
    }
    transaction.commit().map_err(wrap)
}

/// How many of `known` migrations the database has had; zero for an empty one.
///
/// # Errors
///
/// [`Error::Foreign`] and [`Error::Newer`] for a database that this release cannot read.
pub(crate) fn version(connection: &Connection, path: &Path, known: usize) -> Result<usize, Error> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let wrap = |cause| Error::sqlite(path, cause);
    let found = number("PRAGMA user_version").map_err(wrap)?;
    if number("PRAGMA application_id").map_err(wrap)? != APPLICATION_ID {
        let empty = found == 0 && number("SELECT count(*) FROM sqlite_schema").map_err(wrap)? == 0;
        return if empty { Ok(0) } else { Err(Error::Foreign { path: path.to_owned() }) };
    }
    match usize::try_from(found) {
        Ok(done) if done <= known => Ok(done),
        _ => Err(Error::Newer {
            path: path.to_owned(),
            found,
            known: i64::try_from(known).unwrap_or(i64::MAX),
        }),
    }
}

#[cfg(test)]
mod tests;
