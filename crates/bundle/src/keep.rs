//! Bundles on disk: one that somebody put there, and the last one that served.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::{Bundle, Config, Error};

/// Reads and verifies the bundle in a file, by what `config` says of bundles.
///
/// # Errors
///
/// [`Error::File`], and what [`Bundle::read`] refuses.
pub fn read_file(path: &Path, config: &Config) -> Result<Bundle, Error> {
    let failed = |hint| move |cause| Error::File { path: path.to_owned(), cause, hint };
    let hint = match config.url {
        Some(_) => "it is written once a bundle that was fetched serves: start the gateway",
        None => "check that `policy.bundle.file` is there and may be read",
    };
    let file = File::open(path).map_err(failed(hint))?;
    let limit = config.max_bytes as u64;
    let mut packed = Vec::new();
    let read = file.take(limit + 1).read_to_end(&mut packed);
    if read.map_err(failed("check that it may be read"))? as u64 > limit {
        let cause = std::io::Error::other(format!("larger than {limit} bytes"));
        return Err(failed("raise `policy.bundle.max_bytes`")(cause));
    }
    Bundle::read(packed.into(), &config.verification()?)
}

/// Writes a bundle so that the file is the old one or the new one at any moment, whatever fails.
///
/// # Errors
///
/// [`Error::File`].
pub fn keep(path: &Path, bundle: &Bundle) -> Result<(), Error> {
    let beside = path.with_added_extension("new");
    let hint = "set `policy.bundle.persist_file` to a file in a folder that may be written";
    let failed = |cause| Error::File { path: path.to_owned(), cause, hint };
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bundle.packed())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(failed)
}

#[cfg(test)]
mod tests;
