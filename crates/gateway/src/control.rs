//! The control folder: how people reach a running gateway without a port.
//!
//! It is the folder of the audit log, which belongs to the operator. The command line leaves marker files there and every
//! gateway that shares the folder looks for them: `lockdown` denies everything while it exists, `policy.approved` names
//! the policy revision that may be served although it is weaker. Whoever may write into the folder may do both; over HTTP
//! nobody can.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use settings::Settings;

/// The marker that denies everything but ping.
const LOCKDOWN: &str = "lockdown";
/// The marker that names the approved revision.
const APPROVED: &str = "policy.approved";
/// Most bytes of a marker that are read.
const LIMIT: u64 = 256;
/// Digits of a revision that name it well enough.
const SHORTEST: usize = 12;

/// The folder of the marker files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlFolder(PathBuf);

impl ControlFolder {
    /// The folder of the audit log, or the one that the gateway is started in when there is no log.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let log = Some(&settings.audit.db_path).filter(|_| settings.audit.enabled);
        let folder = log.and_then(|log| log.parent()).filter(|it| !it.as_os_str().is_empty());
        Self::at(folder.unwrap_or(Path::new(".")))
    }

    /// A folder.
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The folder's path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Denies everything but ping from now on, or no longer. Says whether that changes anything.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written to.
    pub fn set_lockdown(&self, on: bool) -> io::Result<bool> {
        let marker = self.0.join(LOCKDOWN);
        let done = if on { create(&marker).map(drop) } else { fs::remove_file(&marker) };
        match done {
            Ok(()) => Ok(true),
            Err(error)
                if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) =>
            {
                // A folder that is not there is an error, a marker that is as wanted is not.
                fs::metadata(&self.0).map(|_| false)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether everything but ping is denied.
    ///
    /// # Errors
    ///
    /// When that cannot be told, because the folder is gone or may not be read.
    pub fn is_locked_down(&self) -> io::Result<bool> {
        match fs::symlink_metadata(self.0.join(LOCKDOWN)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::metadata(&self.0).map(|_| false)
            }
            Err(error) => Err(error),
        }
    }

    /// Lets the policy set with this revision, or the one whose revision begins with it, be served although it is weaker.
    ///
    /// # Errors
    ///
    /// When the revision is shorter than 12 digits or no hexadecimal number, or the folder cannot be written to.
    pub fn approve(&self, revision: &str) -> io::Result<()> {
        if revision.len() < SHORTEST || !revision.bytes().all(|it| it.is_ascii_hexdigit()) {
            let text = format!(
                "`{revision}` is no policy revision; give at least its first {SHORTEST} digits, as `/ready` or the log shows them"
            );
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        let (marker, new) = (self.0.join(APPROVED), self.0.join(format!("{APPROVED}.new")));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        create(&new)?.write_all(format!("{revision}\n").as_bytes())?;
        fs::rename(new, marker)
    }

    /// Whether a person has approved `revision`.
    pub(crate) fn approves(&self, revision: &str) -> bool {
        let mut text = String::new();
        let read = fs::File::open(self.0.join(APPROVED))
            .and_then(|file| file.take(LIMIT).read_to_string(&mut text));
        let named = text.trim();
        read.is_ok() && named.len() >= SHORTEST && revision.starts_with(named)
    }
}

/// A new file that only its owner reads.
fn create(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests;
