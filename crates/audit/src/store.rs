//! The database file as the writer holds it: created private, in WAL mode, at the current schema, and opened anew
//! when somebody moved it away.

use std::ffi::OsString;
use std::fs::{Metadata, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::Error;
use crate::schema::{self, MIGRATIONS};

/// How long SQLite waits for the lock of another connection before a write fails. The writer then tries again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// In this order: `auto_vacuum` counts only before the first table. SQLite cuts the WAL back to `journal_size_limit`
/// bytes after a long reader made it grow.
const PRAGMAS: &str = "
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA trusted_schema = OFF;
";

/// An audit log that can be written.
pub(crate) struct Store {
    path: PathBuf,
    open: Option<Open>,
}

struct Open {
    connection: Connection,
    /// Device and inode of the file that the connection writes to.
    identity: (u64, u64),
}

impl Store {
    /// Opens the log, creating it when there is none and bringing an older one to the current schema.
    ///
    /// # Errors
    ///
    /// Whatever keeps the file from being an audit log that can be written.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        // Absolute, so that a change of the working directory cannot make it another file, and that no name
        // (`:memory:`) means something special to SQLite.
        let path = std::path::absolute(path).map_err(|cause| Error::access(path, cause))?;
        let open = Open::new(&path)?;
        Ok(Self { path, open: Some(open) })
    }

    /// Does some work on the database. When the path no longer names the file that was opened, it is opened anew
    /// before: SQLite would go on writing to a removed file without an error, and every row would be lost.
    ///
    /// # Errors
    ///
    /// As [`Store::open`], and what the work returns; the next call tries again.
    pub(crate) fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let open = match self.open.take() {
            Some(open) if open.is_at(&self.path) => open,
            moved => {
                if let Some(moved) = moved {
                    moved.close(&self.path);
                }
                Open::new(&self.path)?
            }
        };
        let done = work(&mut self.open.insert(open).connection);
        done.map_err(|cause| Error::sqlite(&self.path, cause))
    }
}

impl Open {
    fn new(path: &Path) -> Result<Self, Error> {
        let found = make_private(path)?;
        let wrap = |cause| Error::sqlite(path, cause);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)
            .map_err(|cause| why_closed(path, true).unwrap_or_else(|| wrap(cause)))?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(wrap)?;
        if connection.is_readonly("main").map_err(wrap)? {
            return Err(Error::access(path, ErrorKind::PermissionDenied.into()));
        }
        // Before the pragmas, which would turn the database of another program into WAL mode.
        schema::version(&connection, path, MIGRATIONS.len())?;
        connection.execute_batch(PRAGMAS).map_err(wrap)?;
        schema::migrate(&mut connection, path, MIGRATIONS)?;
        Ok(Self { connection, identity: (found.dev(), found.ino()) })
    }

    fn is_at(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity)
    }

    /// Closes a file that is no longer at `path`, with all its rows in it: what is still in the WAL would be lost with
    /// the WAL, which keeps its old name.
    fn close(self, path: &Path) {
        tracing::warn!(path = %path.display(), "the audit log was moved or removed; opening it anew");
        let checkpoint =
            self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        let closed = self.connection.close().map_err(|(_, cause)| cause);
        if let Err(cause) = checkpoint.and(closed) {
            tracing::warn!(%cause, "the audit log that was moved may lack its last rows");
        }
    }
}

/// Creates the file if there is none, makes it and what SQLite keeps beside it accessible to its owner alone. SQLite
/// gives `-wal` and `-shm` the mode of the database.
///
/// An existing file is never opened here: closing it again would drop the POSIX locks that other connections of this
/// process hold on it.
fn make_private(path: &Path) -> Result<Metadata, Error> {
    let fail = |cause| Error::access(path, cause);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        // A WAL left behind by a database that is gone would be replayed into the new one.
        Ok(_) => ["-wal", "-shm", "-journal"]
            .into_iter()
            .try_for_each(|suffix| unless_missing(std::fs::remove_file(beside(path, suffix))))
            .map_err(fail)?,
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {}
        Err(cause) => return Err(fail(cause)),
    }
    let found = std::fs::metadata(path).map_err(fail)?;
    if found.is_dir() {
        return Err(Error::Directory { path: path.to_owned() });
    }
    if found.permissions().mode() & 0o077 != 0 {
        let private = || Permissions::from_mode(0o600);
        std::fs::set_permissions(path, private()).map_err(fail)?;
        for suffix in ["-wal", "-shm"] {
            unless_missing(std::fs::set_permissions(beside(path, suffix), private()))
                .map_err(fail)?;
        }
    }
    Ok(found)
}

/// The name of a file that SQLite keeps beside the database.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn unless_missing(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// What the operating system says of a file that SQLite could not open; SQLite itself does not tell.
pub(crate) fn why_closed(path: &Path, write: bool) -> Option<Error> {
    let opened = OpenOptions::new().read(true).write(write).open(path);
    opened.err().map(|cause| Error::access(path, cause))
}

#[cfg(test)]
mod tests;
