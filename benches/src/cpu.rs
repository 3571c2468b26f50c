//! CPU time of running processes, and where they run.

use std::fs;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::ClockId;
use nix::unistd::Pid;

use crate::Error;

/// The user and system time that a process and its living descendants have used.
///
/// The process clock is read, not the ticks of `/proc/PID/stat`: it counts nanoseconds (a tick of
/// 10 ms is several percent of a round) and keeps what threads that have ended used.
pub(crate) fn used(pid: i32) -> Result<Duration, Error> {
    let mut total = Duration::ZERO;
    for member in family(pid) {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(member)).and_then(ClockId::now);
        match clock {
            Ok(time) => total += Duration::from(time),
            // A descendant that has just ended; the process itself must be there.
            Err(_) if member != pid => {}
            Err(errno) => {
                return Err(Error::io(format!("read the CPU time of process {pid}"))(errno.into()));
            }
        }
    }
    Ok(total)
}

/// Binds this thread, and all that it starts from now on, to one CPU.
///
/// # Errors
/// When there is no such CPU.
pub fn pin(cpu: usize) -> Result<(), Error> {
    let mut set = CpuSet::new();
    set.set(cpu)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .map_err(|errno| Error::io(format!("run on CPU {cpu}"))(errno.into()))
}

/// A process and its living descendants.
pub(crate) fn family(root: i32) -> Vec<i32> {
    tree(root, &parents())
}

/// Every process with its parent.
fn parents() -> Vec<(i32, i32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parent = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // After the name, which may hold anything: the state, then the parent.
        let (_, fields) = stat.rsplit_once(')')?;
        Some((pid, fields.split_ascii_whitespace().nth(1)?.parse().ok()?))
    };
    entries.filter_map(parent).collect()
}

/// `root` and its descendants.
fn tree(root: i32, parents: &[(i32, i32)]) -> Vec<i32> {
    let mut members = vec![root];
    let mut next = 0;
    while let Some(&member) = members.get(next) {
        members.extend(parents.iter().filter(|(_, parent)| *parent == member).map(|(pid, _)| *pid));
        next += 1;
    }
    members
}

#[cfg(test)]
mod tests;
