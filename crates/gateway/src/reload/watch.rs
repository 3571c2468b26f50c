//! Whether the files of the policy have changed.
//!
//! The files are looked at rather than listened to. One mechanism then sees whatever changes what would be read: a write,
//! a rename, the swap of a symbolic link (which is how Kubernetes publishes a ConfigMap), a folder that goes away, and all
//! of it on file systems that announce nothing. A look costs one `stat` a file and reads none.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long files that keep changing may put a reload off.
const RESTLESS: Duration = Duration::from_secs(1);
/// Deepest folder that is looked at: as deep as policies are read from.
const MAX_DEPTH: usize = 16;

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last change, which cannot be set back as the modification can.
    changed: (i64, i64),
}

/// The files at one moment, in order; `None` stands for what cannot be looked at.
type Look = Vec<(PathBuf, Option<Stamp>)>;

/// Looks at files and folders.
pub(crate) struct Watch {
    roots: Vec<PathBuf>,
    /// What was there when the files were last read.
    seen: Look,
    /// What is there since, and when it was first found.
    changing: Option<(Look, Instant)>,
}

impl Watch {
    /// Looks at `roots` and what is below them, and takes what is there as known.
    pub(crate) fn new(roots: Vec<PathBuf>) -> Self {
        let seen = look(&roots);
        Self { roots, seen, changing: None }
    }

    /// Whether there is something new that has come to rest: two looks in a row have found the same, or the files change
    /// for so long that waiting is no use.
    pub(crate) fn has_news(&mut self, now: Instant) -> bool {
        let look = look(&self.roots);
        if look == self.seen {
            self.changing = None;
            return false;
        }
        match &mut self.changing {
            Some((last, since)) => {
                let rests = *last == look || now.saturating_duration_since(*since) >= RESTLESS;
                *last = look;
                rests
            }
            None => {
                self.changing = Some((look, now));
                false
            }
        }
    }

    /// Takes what is there as known.
    pub(crate) fn note(&mut self) {
        self.seen = look(&self.roots);
        self.changing = None;
    }

    /// Takes nothing as known, so that what is there is news.
    pub(crate) fn forget(&mut self) {
        self.seen = Look::new();
    }

    /// Whether everything is still as it was noted.
    pub(crate) fn is_as_noted(&self) -> bool {
        look(&self.roots) == self.seen
    }
}

fn look(roots: &[PathBuf]) -> Look {
    let mut found = Look::new();
    for root in roots {
        visit(root, 0, &mut found);
    }
    found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    found
}

/// Adds what is at `path`, through links, and everything below it but hidden files, which no policy is.
fn visit(path: &Path, depth: usize, found: &mut Look) {
    if depth > MAX_DEPTH {
        return;
    }
    let Ok(metadata) = fs::metadata(path) else {
        found.push((path.to_owned(), None));
        return;
    };
    if !metadata.is_dir() {
        found.push((path.to_owned(), Some(Stamp::of(&metadata))));
        return;
    }
    let Ok(entries) = fs::read_dir(path) else {
        found.push((path.to_owned(), None));
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            visit(&entry.path(), depth + 1, found);
        }
    }
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests;
