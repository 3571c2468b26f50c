//! The `tar.gz` around a bundle.
//!
//! Only plain files and folders are known. A name is a path inside the bundle: one `/` or `./` in front of it, which OPA
//! writes, says no more than that.

use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};

use crate::Error;

/// The files of a bundle by name, in the order of their names.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Bytes that a bundle may unpack to, its archive included.
const MAX_UNPACKED: u64 = 64 << 20;
/// Files and folders that a bundle may have.
const MAX_ENTRIES: usize = 10_000;
/// What a gzip header says of a system that does not matter (RFC 1952, section 2.3.1).
const UNKNOWN_SYSTEM: u8 = 255;

/// Reads the files of an archive.
///
/// # Errors
///
/// What is no archive, not whole, too large, or holds what is no plain file; two files of one name; a name that leads
/// out of the bundle.
pub(crate) fn unpack(packed: &[u8]) -> Result<Files, Error> {
    let stream = Bounded { inner: GzDecoder::new(packed), left: MAX_UNPACKED };
    let mut archive = tar::Archive::new(stream);
    let mut files = Files::new();
    for (index, entry) in archive.entries()?.enumerate() {
        if index >= MAX_ENTRIES {
            return Err(io::Error::other(format!("it has more than {MAX_ENTRIES} files")).into());
        }
        let mut entry = entry?;
        let written = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            continue;
        }
        if !kind.is_file() {
            return Err(Error::entry(&written, "is neither a file nor a folder; leave it out"));
        }
        let Some(name) = normal(&written) else {
            return Err(Error::entry(&written, "has a name that leads out of the bundle"));
        };
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        if files.insert(name, content).is_some() {
            return Err(Error::entry(&written, "is there twice"));
        }
    }
    // To the end of the stream, where its checksum is.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(files)
}

/// Packs files so that the same files always give the same bytes.
///
/// # Errors
///
/// A name that leads out of the bundle, and one that does not fit into an archive.
pub(crate) fn pack(files: &Files) -> Result<Vec<u8>, Error> {
    let gzip = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM);
    let mut archive = tar::Builder::new(gzip.write(Vec::new(), Compression::best()));
    for (name, content) in files {
        if normal(name).as_ref() != Some(name) {
            return Err(Error::entry(name, "has a name that leads out of the bundle"));
        }
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content.as_slice())?;
    }
    Ok(archive.into_inner()?.finish()?)
}

/// The name without what OPA writes in front of it; `None` when it leads elsewhere.
pub(crate) fn normal(name: &str) -> Option<String> {
    let name = name.strip_prefix("./").or_else(|| name.strip_prefix('/')).unwrap_or(name);
    let sound = |part: &str| !matches!(part, "" | "." | "..");
    let plain = !name
        .contains(|letter: char| letter.is_control() || letter == '\\' || letter == '\u{fffd}');
    (plain && name.split('/').all(sound)).then(|| name.to_owned())
}

/// A reader that fails behind so many bytes.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other(format!("it unpacks to more than {} MiB", MAX_UNPACKED >> 20))
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
