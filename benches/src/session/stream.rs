//! Event streams of a server, read one event after another.

use hyper::Uri;

use crate::Error;
use crate::connection::{Connection, Head};
use crate::events::{Event, Events};

/// An open event stream.
pub(crate) struct Stream {
    connection: Connection,
    head: Head,
    events: Events,
}

impl Stream {
    /// The body that follows `head` on `connection`.
    pub(crate) fn new(connection: Connection, head: Head) -> Result<Self, Error> {
        if head.status != 200 || !head.is_events {
            return Err(Error::Answer(format!("status {} and no event stream", head.status)));
        }
        Ok(Self { connection, head, events: Events::default() })
    }

    /// Opens the stream of HTTP+SSE; also returns where it says that messages go.
    pub(super) fn open(authority: &str, path: &str) -> Result<(Self, String), Error> {
        let mut connection = Connection::open(authority)?;
        let head = connection.request("GET", path, "", b"")?;
        let mut stream = Self::new(connection, head)?;
        let event = stream.next()?;
        if event.name != "endpoint" {
            return Err(Error::Answer(format!("`{}` came before `endpoint`", event.name)));
        }
        let endpoint: Uri = event
            .data
            .parse()
            .map_err(|e| Error::Answer(format!("endpoint `{}` is no URL: {e}", event.data)))?;
        let path = endpoint.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok((stream, path))
    }

    /// The next event with data.
    pub(crate) fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.events.take() {
                return Ok(event);
            }
            if !self.connection.read_part(&mut self.head, &mut self.events.pending)? {
                return Err(Error::Answer("the event stream ended".to_owned()));
            }
        }
    }

    /// Whether the server has not closed it.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_open()
    }
}
