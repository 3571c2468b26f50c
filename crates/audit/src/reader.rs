//! Questions to the log, while the gateway writes it or after.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params_from_iter};

use crate::filter::Condition;
use crate::row::{self, Row};
use crate::schema::{self, MIGRATIONS};
use crate::{Error, Filter, store};

/// How long a question waits for a lock; in WAL mode only the repair of a log after a crash takes one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a log without ever changing it.
pub struct Reader {
    path: PathBuf,
    connection: Connection,
    /// What is selected, as the fields of [`Row`] expect it.
    columns: String,
}

impl Reader {
    /// Opens the log at `path` for reading.
    ///
    /// # Errors
    ///
    /// When there is no such file, or it is not an audit log that this release can read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let path = std::path::absolute(path).map_err(|cause| Error::access(path, cause))?;
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => return Err(Error::Directory { path }),
            Ok(_) => {}
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::Missing { path });
            }
            Err(cause) => return Err(Error::access(&path, cause)),
        }
        let connection = match connect(&path, &path, OpenFlags::empty()) {
            Err(Error::Sqlite { cause, .. }) if needs_snapshot(&path, &cause) => snapshot(&path)?,
            other => other?,
        };
        let columns = columns(&connection).map_err(|cause| Error::sqlite(&path, cause))?;
        Ok(Self { path, connection, columns })
    }

    /// The rows that `filter` selects, by time.
    ///
    /// # Errors
    ///
    /// [`Error::Sqlite`] when the log cannot be read.
    pub fn query(&self, filter: &Filter) -> Result<Vec<Row>, Error> {
        let order =
            if filter.descending { "timestamp_us DESC, id DESC" } else { "timestamp_us, id" };
        self.select(filter.condition(), order, filter.limit)
    }

    /// The rows that `filter` selects and that were written after row `after`, in the order of writing. The filter's
    /// own order does not count.
    ///
    /// # Errors
    ///
    /// [`Error::Sqlite`] when the log cannot be read.
    pub fn tail(&self, after: i64, filter: &Filter) -> Result<Vec<Row>, Error> {
        self.select(filter.condition().and("id > ?", Some(after)), "id", filter.limit)
    }

    /// Gives every row that `filter` selects to `each`, the oldest first, without holding them all; with a limit, the
    /// newest so many. The filter's own order does not count.
    ///
    /// # Errors
    ///
    /// [`Error::Sqlite`] when the log cannot be read.
    pub fn history(&self, filter: &Filter, mut each: impl FnMut(Row)) -> Result<(), Error> {
        if filter.limit < u32::MAX {
            let newest = Filter { descending: true, ..filter.clone() };
            self.query(&newest)?.into_iter().rev().for_each(each);
            return Ok(());
        }
        let Condition { sql, values } = filter.condition();
        let columns = &self.columns;
        let sql = format!("SELECT {columns} FROM audit_log WHERE {sql} ORDER BY timestamp_us, id");
        let read = || -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare_cached(&sql)?;
            for row in statement.query_map(params_from_iter(values), Row::read)? {
                each(row?);
            }
            Ok(())
        };
        read().map_err(|cause| Error::sqlite(&self.path, cause))
    }

    /// The facts of that number, which rows name in `facts_id` and `tool_facts_id`: a JSON text.
    ///
    /// # Errors
    ///
    /// [`Error::Sqlite`] when the log cannot be read.
    pub fn facts(&self, number: i64) -> Result<Option<String>, Error> {
        let sql = "SELECT json FROM audit_facts WHERE id = ?";
        let read = || self.connection.prepare_cached(sql)?.query_row([number], |row| row.get(0));
        read().optional().map_err(|cause| Error::sqlite(&self.path, cause))
    }

    /// The number of the last row; zero when there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Sqlite`] when the log cannot be read.
    pub fn last_id(&self) -> Result<i64, Error> {
        let sql = "SELECT coalesce(max(id), 0) FROM audit_log";
        self.connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(|cause| Error::sqlite(&self.path, cause))
    }

    fn select(&self, condition: Condition, order: &str, limit: u32) -> Result<Vec<Row>, Error> {
        let Condition { sql, mut values } = condition;
        let columns = &self.columns;
        let sql = format!("SELECT {columns} FROM audit_log WHERE {sql} ORDER BY {order} LIMIT ?");
        values.push(Value::from(limit));
        let read = || -> rusqlite::Result<Vec<Row>> {
            let mut statement = self.connection.prepare_cached(&sql)?;
            statement.query_map(params_from_iter(values), Row::read)?.collect()
        };
        read().map_err(|cause| Error::sqlite(&self.path, cause))
    }
}

/// The columns of the table; `NULL` for those that a log of an earlier release does not have yet.
fn columns(connection: &Connection) -> rusqlite::Result<String> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_xinfo('audit_log')")?;
    let found = statement.query_map([], |row| row.get::<_, String>(0))?;
    let found: HashSet<String> = found.collect::<Result<_, _>>()?;
    let selected = |column| if found.contains(column) { column } else { "NULL" };
    Ok(row::COLUMNS.iter().copied().map(selected).collect::<Vec<_>>().join(", "))
}

/// Opens `name`, which names the file at `path`, and makes sure that it is a log.
fn connect(path: &Path, name: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let wrap = |cause| Error::sqlite(path, cause);
    let read = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(name, read | flags)
        .map_err(|cause| store::why_closed(path, false).unwrap_or_else(|| wrap(cause)))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(wrap)?;
    if schema::version(&connection, path, MIGRATIONS.len())? == 0 {
        return Err(Error::Foreign { path: path.to_owned() });
    }
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;")
        .map_err(wrap)?;
    Ok(connection)
}

/// Whether the file can only be read as it stands: SQLite wants to create files beside it, may not, and no writer has
/// left any.
fn needs_snapshot(path: &Path, cause: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    matches!(cause.sqlite_error_code(), Some(CannotOpen | ReadOnly))
        && !store::beside(path, "-wal").exists()
}

/// Opens a file that nobody writes, from a place where nothing can be written.
fn snapshot(path: &Path) -> Result<Connection, Error> {
    let name = path.to_string_lossy();
    let name = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let uri = PathBuf::from(format!("file:{name}?immutable=1"));
    connect(path, &uri, OpenFlags::SQLITE_OPEN_URI)
}

#[cfg(test)]
mod tests;
