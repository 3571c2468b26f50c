//! A log file that begins anew at a size.
//!
//! The line that would cross the limit goes whole into the new file. Older files are `<path>.1`, `<path>.2`, …, the
//! newest first. When a file cannot be moved, the log goes on in the old one: a full folder must not cost lines.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::Clock;

use crate::LogFile;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The log file.
pub(crate) struct Rotating {
    path: PathBuf,
    limit: u64,
    backups: u32,
    max_age: Option<Duration>,
    clock: Arc<dyn Clock>,
    file: File,
    /// Bytes written since the last attempt to rotate.
    size: u64,
}

impl Rotating {
    /// Opens the file, to be continued where it ends.
    pub(crate) fn open(config: &LogFile, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let limit = config.max_size.saturating_mul(1_000_000);
        Self::with_limit(config, limit, clock)
    }

    fn with_limit(config: &LogFile, limit: u64, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let file = append(&config.path)?;
        let log = Self {
            path: config.path.clone(),
            limit,
            backups: config.max_backups,
            max_age: (config.max_age > 0).then(|| DAY * config.max_age),
            clock,
            size: file.metadata()?.len(),
            file,
        };
        log.trim();
        log.expire();
        Ok(log)
    }

    /// Deletes the older files that are too many since the configuration asks for fewer.
    fn trim(&self) {
        let mut number = self.backups.saturating_add(1);
        while fs::remove_file(self.backup(number)).is_ok() {
            number = number.saturating_add(1);
        }
    }

    fn backup(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.flush()?;
        if self.backups == 0 {
            return self.file.set_len(0);
        }
        for number in (1..self.backups).rev() {
            let from = self.backup(number);
            if from.exists() {
                fs::rename(from, self.backup(number + 1))?;
            }
        }
        fs::rename(&self.path, self.backup(1))?;
        self.file = append(&self.path)?;
        self.expire();
        Ok(())
    }

    /// Deletes the older files that have passed their age. What cannot be deleted stays.
    fn expire(&self) {
        let Some(max_age) = self.max_age else { return };
        let now = self.clock.wall();
        for backup in (1..=self.backups).map(|number| self.backup(number)) {
            let written = fs::metadata(&backup).and_then(|it| it.modified());
            let age = written.map(|at| now.duration_since(at).unwrap_or_default());
            if age.is_ok_and(|age| age > max_age) {
                drop(fs::remove_file(backup));
            }
        }
    }
}

impl Write for Rotating {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len() as u64;
        if self.size > 0 && self.size.saturating_add(length) > self.limit {
            self.size = 0;
            drop(self.rotate());
        }
        self.file.write_all(line)?;
        self.size = self.size.saturating_add(length);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests;
