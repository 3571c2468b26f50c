//! A blocking HTTP/1.1 client connection: just enough of RFC 9112 to drive a gateway hard.
//!
//! One connection carries one request at a time; the body must be read to its end before the next.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Error;

/// A call without an answer for this long is a missing answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a stream may be silent whose events are counted by somebody else.
const PATIENCE: Duration = Duration::from_secs(600);

/// A larger body is a broken length, not an answer.
const MAX_PART: u64 = 64 << 20;

/// A keep-alive connection to one authority.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    authority: String,
    outgoing: Vec<u8>,
    line: String,
}

/// What a response's head says that matters here.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) session: Option<String>,
    pub(crate) is_events: bool,
    rest: Rest,
}

/// What of the body is still to come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rest {
    Nothing,
    Bytes(u64),
    Chunks,
}

impl Connection {
    /// Connects to `authority` (`host:port`).
    pub(crate) fn open(authority: &str) -> Result<Self, Error> {
        Self::within(authority, TIMEOUT)
    }

    /// The same for a stream that may be silent for long.
    pub(crate) fn patient(authority: &str) -> Result<Self, Error> {
        Self::within(authority, PATIENCE)
    }

    fn within(authority: &str, timeout: Duration) -> Result<Self, Error> {
        let open = || {
            let stream = TcpStream::connect(authority)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(timeout))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            Ok(stream)
        };
        let stream = open().map_err(Error::io(format!("connect to `{authority}`")))?;
        Ok(Self {
            stream: BufReader::new(stream),
            authority: authority.to_owned(),
            outgoing: Vec::new(),
            line: String::new(),
        })
    }

    /// Sends a request in one write and reads the head of the response; `fields` are whole header
    /// lines, each with its line end.
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        fields: &str,
        body: &[u8],
    ) -> Result<Head, Error> {
        self.outgoing.clear();
        let wrote = write!(
            self.outgoing,
            "{method} {path} HTTP/1.1\r\nhost: {}\r\naccept: application/json, text/event-stream\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n{fields}\r\n",
            self.authority,
            body.len(),
        );
        self.outgoing.extend_from_slice(body);
        wrote
            .and_then(|()| self.stream.get_mut().write_all(&self.outgoing))
            .map_err(Error::io("send the request"))?;
        self.head()
    }

    fn head(&mut self) -> Result<Head, Error> {
        self.read_line()?;
        let status = self.line.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok());
        let status =
            status.ok_or_else(|| Error::Answer(format!("`{}` is not a status line", self.line)))?;
        let mut head = Head { status, session: None, is_events: false, rest: Rest::Nothing };
        loop {
            self.read_line()?;
            let Some((name, value)) = self.line.split_once(':') else {
                return Ok(head);
            };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                head.rest = Rest::Bytes(parse_length(value, 10)?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.rest = Rest::Chunks;
            } else if name.eq_ignore_ascii_case("mcp-session-id") {
                head.session = Some(value.to_owned());
            } else if name.eq_ignore_ascii_case("content-type") {
                head.is_events = value.starts_with("text/event-stream");
            }
        }
    }

    /// Appends the next part of the body to `into`; false when there was none left.
    pub(crate) fn read_part(&mut self, head: &mut Head, into: &mut Vec<u8>) -> Result<bool, Error> {
        let length = match head.rest {
            Rest::Nothing => return Ok(false),
            Rest::Bytes(length) => length,
            Rest::Chunks => {
                self.read_line()?;
                parse_length(self.line.split(';').next().unwrap_or_default(), 16)?
            }
        };
        let read = (&mut self.stream).take(length).read_to_end(into);
        if read.map_err(Error::io("read the body"))? as u64 != length {
            return Err(Error::Answer("the connection closed within a body".to_owned()));
        }
        if head.rest == Rest::Chunks {
            self.read_line()?;
        }
        if length == 0 || head.rest != Rest::Chunks {
            head.rest = Rest::Nothing;
        }
        Ok(length != 0)
    }

    /// Appends the whole rest of the body to `into`.
    pub(crate) fn read_body(&mut self, head: &mut Head, into: &mut Vec<u8>) -> Result<(), Error> {
        while self.read_part(head, into)? {}
        Ok(())
    }

    /// Whether the other side has not closed the connection.
    pub(crate) fn is_open(&self) -> bool {
        let stream = self.stream.get_ref();
        let peek = || {
            stream.set_nonblocking(true)?;
            let read = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            read
        };
        peek().map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |read| read > 0)
    }

    fn read_line(&mut self) -> Result<(), Error> {
        self.line.clear();
        let read = self.stream.read_line(&mut self.line).map_err(Error::io("read an answer"))?;
        if read == 0 {
            return Err(Error::Answer("the connection closed before the answer".to_owned()));
        }
        self.line.truncate(self.line.trim_end().len());
        Ok(())
    }
}

fn parse_length(text: &str, radix: u32) -> Result<u64, Error> {
    match u64::from_str_radix(text.trim(), radix) {
        Ok(length) if length <= MAX_PART => Ok(length),
        _ => Err(Error::Answer(format!("`{text}` is not a length"))),
    }
}
