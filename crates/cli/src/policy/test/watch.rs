//! Doing something again whenever a folder changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::{Exit, output};

/// How often the folder is looked at: there is no event for every file system, and a look is cheap.
const LOOK: Duration = Duration::from_millis(200);

/// What tells a file from its next version.
type Looks = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// Does `work` now and after each change below `dir`, until the process is interrupted.
///
/// # Errors
///
/// The folder cannot be read any more.
pub(super) fn each_change(dir: &Path, mut work: impl FnMut()) -> anyhow::Result<Exit> {
    loop {
        let before = look(dir)?;
        work();
        output::note("waiting for changes; Ctrl-C ends");
        while look(dir)? == before {
            std::thread::sleep(LOOK);
        }
    }
}

/// The files below `dir`. One that vanishes meanwhile is left out, and missed at the next look.
pub(super) fn look(dir: &Path) -> std::io::Result<Looks> {
    let (mut found, mut open) = (Looks::new(), vec![fs::read_dir(dir)?]);
    while let Some(entries) = open.pop() {
        for entry in entries.flatten() {
            let path = entry.path();
            match fs::metadata(&path) {
                Ok(met) if met.is_dir() => open.extend(fs::read_dir(&path)),
                Ok(met) => {
                    found.insert(path, (met.len(), met.modified().ok()));
                }
                Err(_) => {}
            }
        }
    }
    Ok(found)
}
