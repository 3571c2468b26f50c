//! Points in time as the log stores them.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// Microseconds since 1970, negative before.
pub(crate) fn micros(at: SystemTime) -> i64 {
    match at.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => {
            i64::try_from(before.duration().as_micros()).map_or(i64::MIN, std::ops::Neg::neg)
        }
    }
}

/// Writes RFC 3339 in UTC with six digits of a second into `text`, replacing what it held. Times beyond the year 9999
/// become its end.
pub(crate) fn rfc3339(micros: i64, text: &mut String) {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    let limit = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let at = Timestamp::from_microsecond(micros).unwrap_or(limit);
    text.clear();
    if let Err(error) = PRINTER.print_timestamp(&at, &mut *text) {
        tracing::error!(%error, micros, "a timestamp cannot be written");
    }
}
