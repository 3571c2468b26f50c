//! What a running process holds in memory.

use std::fs;

use crate::Error;

/// Resident memory of a process in KiB.
///
/// Summed over the pages (`smaps_rollup`): the counter in `statm` lags by up to 64 pages a thread.
///
/// # Errors
/// When the process is gone.
pub fn resident(pid: i32) -> Result<u64, Error> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(Error::io(format!("read `{path}`")))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .ok_or_else(|| Error::Setup(format!("`{path}` does not say `Rss`")))
}
