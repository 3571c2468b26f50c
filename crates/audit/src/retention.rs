//! Removes rows that are older than `audit.retention_days`, a little at a time, so that writing goes on in between.

use std::time::{Duration, Instant};

use domain::Clock;
use rusqlite::Connection;

use crate::time;

/// Most rows deleted in one transaction: a few milliseconds during which nothing is written.
const ROWS: u16 = 500;
/// Gives some pages back to the file system. Each step of the statement frees one, so it has to be stepped to the end.
const SHRINK: &str = "PRAGMA incremental_vacuum(256)";
/// Time between two sweeps.
const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The oldest rows first. Rows are kept as long as they are younger than the newest row minus the retention: when the
/// clock jumps forward, the log stays.
const DELETE: &str = "
    DELETE FROM audit_log WHERE id IN (
        SELECT id FROM audit_log
        WHERE timestamp_us < min(?1, (SELECT max(timestamp_us) FROM audit_log)) - ?2
        ORDER BY timestamp_us LIMIT ?3
    )";

/// Facts that no row names which is still kept: rows of their last day and before are gone.
const FORGET: &str = "
    DELETE FROM audit_facts WHERE id IN (
        SELECT id FROM audit_facts
        WHERE last_day < (min(?1, (SELECT max(timestamp_us) FROM audit_log)) - ?2) / ?4
        LIMIT ?3
    )";

const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// Where a sweep stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Resting,
    Deleting,
    Forgetting,
    Shrinking,
}

/// The sweeps of one log.
pub(crate) struct Retention {
    /// How long rows are kept, in microseconds; `None` for ever.
    keep: Option<i64>,
    due: Instant,
    phase: Phase,
}

impl Retention {
    /// The first sweep is due at `now`.
    pub(crate) fn new(days: u32, now: Instant) -> Self {
        let keep = (days > 0).then(|| i64::from(days).saturating_mul(MICROS_PER_DAY));
        Self { keep, due: now, phase: Phase::Resting }
    }

    /// Does one bounded piece of work, if any is due. Returns whether there is more to do at once.
    pub(crate) fn step(
        &mut self,
        connection: &Connection,
        clock: &dyn Clock,
    ) -> rusqlite::Result<bool> {
        let Some(keep) = self.keep else { return Ok(false) };
        if self.phase == Phase::Resting {
            if clock.monotonic() < self.due {
                return Ok(false);
            }
            self.due = clock.monotonic() + INTERVAL;
            self.phase = Phase::Deleting;
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Resting);
        self.phase = match phase {
            Phase::Resting => Phase::Resting,
            Phase::Deleting => delete(connection, time::micros(clock.wall()), keep)?,
            Phase::Forgetting => forget(connection, time::micros(clock.wall()), keep)?,
            Phase::Shrinking => shrink(connection)?,
        };
        Ok(self.phase != Phase::Resting)
    }

    /// Whether [`Retention::step`] would do something; spares opening the database for nothing.
    pub(crate) fn is_due(&self, clock: &dyn Clock) -> bool {
        self.keep.is_some() && (self.phase != Phase::Resting || clock.monotonic() >= self.due)
    }
}

fn delete(connection: &Connection, now: i64, keep: i64) -> rusqlite::Result<Phase> {
    let deleted = connection.prepare_cached(DELETE)?.execute((now, keep, i64::from(ROWS)))?;
    Ok(if deleted == usize::from(ROWS) { Phase::Deleting } else { Phase::Forgetting })
}

fn forget(connection: &Connection, now: i64, keep: i64) -> rusqlite::Result<Phase> {
    let limits = (now, keep, i64::from(ROWS), MICROS_PER_DAY);
    let deleted = connection.prepare_cached(FORGET)?.execute(limits)?;
    Ok(if deleted == usize::from(ROWS) { Phase::Forgetting } else { Phase::Shrinking })
}

fn shrink(connection: &Connection) -> rusqlite::Result<Phase> {
    let mut statement = connection.prepare_cached(SHRINK)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    let free: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    Ok(if free > 0 { Phase::Shrinking } else { Phase::Resting })
}

#[cfg(test)]
mod tests;
