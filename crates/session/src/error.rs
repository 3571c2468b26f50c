//! What can go wrong with the keys of sessions, in words for the operator.

use std::io;
use std::path::PathBuf;

/// Why the keys that seal session ids cannot be used. Every text names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or created.
    #[error(
        "the key file `{}` (`session.key_file`) cannot be {verb}: {cause}; {remedy}", path.display()
    )]
    Access {
        /// The file.
        path: PathBuf,
        /// What was tried: `read` or `created`.
        verb: &'static str,
        /// What the operating system says.
        cause: io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Others than the owner may write to the file, and so forge session ids.
    #[error(
        "the key file `{}` (`session.key_file`) has mode {mode:04o}, so that others can replace the keys: \
         `chmod 600` it",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A line is not a key.
    #[error(
        "line {line} of the key file `{}` (`session.key_file`) is not a key: {problem}; a key is 32 random bytes in \
         base64, as `openssl rand -base64 32` prints them",
        path.display()
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The file has no key.
    #[error(
        "the key file `{}` (`session.key_file`) holds no key: remove it, and one is made, or write a line with 32 \
         random bytes in base64",
        path.display()
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The cryptographic library refused to work.
    #[error(
        "no key for session ids can be made: the random generator of the system or the cipher failed"
    )]
    Cipher,
}
