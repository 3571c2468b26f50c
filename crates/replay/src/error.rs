//! Why a replay cannot be made.

/// A failure of a replay.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log cannot be read.
    #[error(transparent)]
    Audit(#[from] audit::Error),
    /// A row is not what the gateway writes.
    #[error(
        "row {id} of the audit log cannot be replayed: its column `{column}` holds, or names, what this release does not know; was it changed by another program?"
    )]
    Unreadable {
        /// The row.
        id: i64,
        /// The column.
        column: &'static str,
    },
}
