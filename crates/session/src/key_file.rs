//! The file of `session.key_file`: read, or made with one random key.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use data_encoding::BASE64;

use crate::Error;
use crate::keys::{KEY_LEN, Keys, random_key};

/// Longer files are something else.
const MAX_BYTES: u64 = 64 * 1024;

/// What a start would find at `session.key_file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFile {
    /// Nothing: it would be made.
    Missing,
    /// Keys that nobody else can read.
    Private,
    /// Keys that others can read, which a start warns of.
    Readable,
}

/// The keys of the file, which is made when there is none.
pub(crate) fn read(path: &Path) -> Result<Keys, Error> {
    let found = match open(path)? {
        None => {
            create(path)?;
            open(path)?
        }
        found => found,
    };
    let gone = || access(path, "read", ErrorKind::NotFound.into());
    let (keys, readable) = found.ok_or_else(gone)?;
    if readable {
        // Mounted secrets are often like that, hence no error.
        tracing::warn!(path = %path.display(), "others can read the keys of sessions: `chmod 600` the file");
    }
    Ok(keys)
}

/// Reads the file as a start does, and makes nothing.
pub(crate) fn check(path: &Path) -> Result<KeyFile, Error> {
    Ok(match open(path)? {
        None => KeyFile::Missing,
        Some((_, false)) => KeyFile::Private,
        Some((_, true)) => KeyFile::Readable,
    })
}

/// The keys of the file, if there is one, and whether others can read it.
fn open(path: &Path) -> Result<Option<(Keys, bool)>, Error> {
    let found = match small_file(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        found => found,
    };
    let (mode, text) = found.map_err(|cause| access(path, "read", cause))?;
    if mode & 0o022 != 0 {
        return Err(Error::Exposed { path: path.to_owned(), mode });
    }
    Ok(Some((parse(path, &text)?, mode & 0o044 != 0)))
}

/// The permission bits and the text of the file.
fn small_file(path: &Path) -> io::Result<(u32, String)> {
    let found = fs::metadata(path)?;
    if found.is_dir() {
        return Err(io::Error::new(ErrorKind::IsADirectory, "it is a directory"));
    }
    if !found.is_file() || found.len() > MAX_BYTES {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a small file"));
    }
    Ok((found.permissions().mode() & 0o777, fs::read_to_string(path)?))
}

/// Makes the file under another name first: gateways that start together all read one whole key.
fn create(path: &Path) -> Result<(), Error> {
    let fail = |cause| access(path, "created", cause);
    let line = format!("{}\n", BASE64.encode(&random_key()?));
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", domain::random_uuid().simple()));
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(fail)?;
    let made = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
    let made = made.and_then(|()| match fs::hard_link(&draft, path) {
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    made.and(fs::remove_file(&draft)).map_err(fail)
}

fn parse(path: &Path, text: &str) -> Result<Keys, Error> {
    let mut keys = Vec::new();
    for (number, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The line itself is a secret, and stays out of the message.
        let wrong = |problem| Error::Key { path: path.to_owned(), line: number + 1, problem };
        let bytes = BASE64.decode(line.as_bytes()).map_err(|cause| wrong(cause.to_string()))?;
        let key = <[u8; KEY_LEN]>::try_from(bytes.as_slice())
            .map_err(|_| wrong(format!("it has {} bytes", bytes.len())))?;
        keys.push(key);
    }
    match keys.split_first() {
        Some((first, others)) => Keys::new(first, others),
        None => Err(Error::Empty { path: path.to_owned() }),
    }
}

fn access(path: &Path, verb: &'static str, cause: io::Error) -> Error {
    let remedies = [
        (ErrorKind::PermissionDenied, "let this user read and write it, or name another file"),
        (ErrorKind::NotFound, "create its directory, or name another file"),
        (ErrorKind::IsADirectory, "name a file in it"),
    ];
    let fitting = remedies.into_iter().find(|(kind, _)| *kind == cause.kind());
    let remedy = fitting.map_or("name another file", |(_, remedy)| remedy);
    Error::Access { path: path.to_owned(), verb, cause, remedy }
}

#[cfg(test)]
mod tests;
