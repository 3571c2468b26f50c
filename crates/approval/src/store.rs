//! The file: opened, created private, at the current schema.

use std::fs::{OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::{Clock, Span};
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::{Config, Error};

/// `PRAGMA application_id` of the file: `MCPQ` in ASCII.
const APPLICATION_ID: i64 = 0x4D43_5051;
/// `PRAGMA user_version`: the version of [`SCHEMA`].
const VERSION: i64 = 1;
const SCHEMA: &str = include_str!("schema.sql");

/// How long SQLite waits for the lock of another process. No transaction here takes longer than a few milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// How often opening is tried again, and after which time.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

const PRAGMAS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA trusted_schema = OFF;
";

/// The questions and answers of one gateway. Clones share one connection; the gateway and the command line each have
/// their own, at the same time.
#[derive(Clone)]
pub struct ApprovalStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// Device and number of the file that is open.
    file: (u64, u64),
    connection: Mutex<Connection>,
    expires: Span,
    clock: Arc<dyn Clock>,
}

impl ApprovalStore {
    /// Opens the file at `path`, creating it when there is none.
    ///
    /// # Errors
    ///
    /// When the configuration cannot work, or the file cannot be used; the message says what to do.
    pub fn open(path: &Path, config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        config.validate()?;
        let path = absolute(path)?;
        make_private(&path)?;
        let connection =
            patiently(|| connect(&path)).map_err(|cause| Error::sqlite(&path, cause))??;
        let file = identity(&path)?;
        let connection = Mutex::new(connection);
        let inner = Inner { path, file, connection, expires: config.expires, clock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Does something with the database. Blocks while another thread does. A file that was removed or replaced holds
    /// nothing that anybody has granted, though it is still open.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        if identity(&self.inner.path).ok() != Some(self.inner.file) {
            return Err(Error::Gone { path: self.inner.path.clone() });
        }
        // A panic elsewhere leaves no transaction open: it was rolled back.
        let mut connection = self.inner.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut connection).map_err(|cause| Error::sqlite(&self.inner.path, cause))
    }

    /// The time in microseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        micros(self.inner.clock.wall())
    }

    /// The time at which what begins at `now` expires.
    pub(crate) fn expiry(&self, now: i64) -> i64 {
        after(now, self.inner.expires.duration())
    }
}

/// The time `span` after `now`.
pub(crate) fn after(now: i64, span: Duration) -> i64 {
    now.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX))
}

/// Microseconds since 1970; times before that count as 1970.
pub(crate) fn micros(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC.
pub(crate) fn rfc3339(micros: i64) -> String {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX).to_string()
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|cause| Error::Access { path: path.to_owned(), cause })
}

/// What tells the file at `path` from another one there.
fn identity(path: &Path) -> Result<(u64, u64), Error> {
    let found = std::fs::metadata(path);
    let found = found.map_err(|cause| Error::Access { path: path.to_owned(), cause })?;
    Ok((found.dev(), found.ino()))
}

/// Creates the file if there is none, accessible to its owner alone; SQLite gives what it keeps beside it the same mode.
fn make_private(path: &Path) -> Result<(), Error> {
    let fail = |cause| Error::Access { path: path.to_owned(), cause };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
            let found = std::fs::metadata(path).map_err(fail)?;
            if found.permissions().mode() & 0o077 == 0 {
                return Ok(());
            }
            std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(fail)
        }
        Err(cause) => Err(fail(cause)),
    }
}

/// Tries again while another process opens the same new file: turning it into WAL mode does not wait for locks.
fn patiently<T>(mut work: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let mut tries = TRIES;
    loop {
        match work() {
            Err(cause)
                if tries > 0 && cause.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) =>
            {
                tries -= 1;
                std::thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}

/// Connects, and brings an empty file to the schema.
fn connect(path: &Path) -> rusqlite::Result<Result<Connection, Error>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Before anything is written: the file may be another program's.
    let reading = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    if let Err(foreign) = is_new(&reading, path)? {
        return Ok(Err(foreign));
    }
    drop(reading);
    connection.execute_batch(PRAGMAS)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been first.
    if let Ok(true) = is_new(&transaction, path)? {
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    transaction.commit()?;
    Ok(Ok(connection))
}

/// Whether the file is empty rather than at the current schema; an error for any other.
fn is_new(connection: &Connection, path: &Path) -> rusqlite::Result<Result<bool, Error>> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let found = number("PRAGMA user_version")?;
    let path = || path.to_owned();
    if number("PRAGMA application_id")? == APPLICATION_ID {
        return Ok(match found {
            VERSION => Ok(false),
            _ => Err(Error::Newer { path: path(), found, known: VERSION }),
        });
    }
    let empty = found == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0;
    Ok(if empty { Ok(true) } else { Err(Error::Foreign { path: path() }) })
}

#[cfg(test)]
mod tests;
