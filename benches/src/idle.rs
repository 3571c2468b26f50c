//! Many sessions that only keep their stream open.

use hyper::Uri;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::Error;
use crate::session::{Idle, Session, Shape, Transport};

/// Sessions over Streamable HTTP, each with its GET stream open and nothing to do.
pub struct Held {
    sessions: Vec<Idle>,
}

impl Held {
    /// Opens `count` sessions one after another, each on one connection.
    ///
    /// # Errors
    /// When one does not open.
    pub fn open(url: &Uri, count: usize) -> Result<Self, Error> {
        let shape = Shape { argument: 0, progress: 0 };
        let open = |number| {
            Session::open(url, Transport::Http, shape, format!("i{number}")).and_then(Session::idle)
        };
        Ok(Self { sessions: (0..count).map(open).collect::<Result<_, _>>()? })
    }

    /// How many of the streams the server has closed.
    pub fn lost(&self) -> usize {
        self.sessions.iter().filter(|session| !session.is_open()).count()
    }
}

/// Lets this process, and those that it starts from now on, open as many files as it ever may;
/// returns how many.
///
/// # Errors
/// When the system does not say.
pub fn raise_open_files() -> Result<u64, Error> {
    let raise = || {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        Ok(hard)
    };
    raise().map_err(|errno: nix::Error| Error::io("raise the limit of open files")(errno.into()))
}
