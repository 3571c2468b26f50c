//! HTTP/1.1 by hand: a connection that reads heads, bodies and event streams,
//! used by the test clients and by the scripted server.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::wait::{PATIENCE, now};

/// First line and header fields of a message; names are lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) first_line: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The status code of an answer; 0 when this is not one.
    pub(crate) fn status(&self) -> u16 {
        self.first_line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn is_event_stream(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"))
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("answer {} is not JSON ({error}): {}", self.status(), self.text())
        })
    }
}

/// How much of the body of the current message is still to be read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    Bytes(u64),
    Chunk(u64),
    UntilClose,
}

/// One connection. `Read` yields the body of the message whose head was read last.
#[derive(Debug)]
pub(crate) struct Conn {
    io: BufReader<TcpStream>,
    left: Left,
    pub(crate) raw_read: u64,
}

impl Conn {
    #[track_caller]
    pub(crate) fn open(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&addr, PATIENCE).expect("nobody listens there"))
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { io: BufReader::new(stream), left: Left::Bytes(0), raw_read: 0 }
    }

    pub(crate) fn patience(&self, limit: Option<Duration>) {
        self.io.get_ref().set_read_timeout(limit).unwrap();
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.io.get_ref()
    }

    /// What the connection carries after the last message, as it is.
    pub(crate) fn raw(&mut self) -> &mut BufReader<TcpStream> {
        &mut self.io
    }

    pub(crate) fn close(&self) {
        // The peer may have been faster.
        drop(self.io.get_ref().shutdown(Shutdown::Both));
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.io.get_mut().write_all(bytes)
    }

    /// Reads the next head; `UnexpectedEof` when the peer closed before it.
    pub(crate) fn read_head(&mut self) -> Result<Head> {
        let mut head = Head::default();
        loop {
            let line = self.read_line()?;
            if head.first_line.is_empty() {
                head.first_line = line;
            } else if line.is_empty() {
                break;
            } else if let Some((name, value)) = line.split_once(':') {
                head.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let chunked =
            head.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked"));
        let length = head.header("content-length").and_then(|value| value.parse().ok());
        self.left = match (chunked, length) {
            (true, _) => Left::Chunk(0),
            (false, Some(length)) => Left::Bytes(length),
            (false, None) if matches!(head.status(), 200..=203 | 205..=299 | 400..) => {
                Left::UntilClose
            }
            (false, None) => Left::Bytes(0),
        };
        Ok(head)
    }

    fn read_line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let read = self.io.read_until(b'\n', &mut line)?;
        self.raw_read += u64::try_from(read).unwrap();
        if line.pop() != Some(b'\n') {
            return Err(Error::from(ErrorKind::UnexpectedEof));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8(line).map_err(|_| Error::from(ErrorKind::InvalidData))
    }

    pub(crate) fn read_body(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        self.read_to_end(&mut body)?;
        Ok(body)
    }

    pub(crate) fn read_response(&mut self) -> Result<Response> {
        let head = self.read_head()?;
        let body = self.read_body()?;
        Ok(Response { head, body })
    }

    /// Writes one request; `Host` and `Content-Length` are added when missing.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<()> {
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        let has = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
        if !has("host") {
            text.push_str(&format!("Host: {}\r\n", self.io.get_ref().peer_addr()?));
        }
        if !has("content-length")
            && !has("transfer-encoding")
            && (method == "POST" || !body.is_empty())
        {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        self.write(&bytes)
    }

    #[track_caller]
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.send(method, path, headers, body).expect("cannot write the request");
        self.read_response()
            .unwrap_or_else(|error| panic!("no whole answer to {method} {path}: {error}"))
    }

    fn next_chunk(&mut self) -> Result<u64> {
        let line = self.read_line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size =
            u64::from_str_radix(size, 16).map_err(|_| Error::from(ErrorKind::InvalidData))?;
        if size == 0 {
            while !self.read_line()?.is_empty() {}
            self.left = Left::Bytes(0);
        } else {
            self.left = Left::Chunk(size);
        }
        Ok(size)
    }
}

impl Read for Conn {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let allowed = match self.left {
            Left::Bytes(left) => left,
            Left::Chunk(0) => self.next_chunk()?,
            Left::Chunk(left) => left,
            Left::UntilClose => u64::MAX,
        };
        if allowed == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let wanted = buffer.len().min(usize::try_from(allowed).unwrap_or(usize::MAX));
        let read = self.io.read(&mut buffer[..wanted])?;
        let count = u64::try_from(read).unwrap();
        self.raw_read += count;
        if read == 0 && self.left != Left::UntilClose {
            return Err(Error::from(ErrorKind::UnexpectedEof));
        }
        self.left = match self.left {
            Left::Bytes(left) => Left::Bytes(left - count),
            Left::Chunk(left) if left > count => Left::Chunk(left - count),
            Left::Chunk(_) => {
                self.read_line()?;
                Left::Chunk(0)
            }
            Left::UntilClose => Left::UntilClose,
        };
        Ok(read)
    }
}

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: String,
    pub(crate) retry: String,
}

impl Event {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data)
            .unwrap_or_else(|error| panic!("event is not JSON ({error}): {}", self.data))
    }
}

/// The events of a stream whose head was read.
#[derive(Debug)]
pub(crate) struct Events {
    lines: BufReader<Conn>,
}

impl Events {
    /// The stream that a request is answered with.
    #[track_caller]
    pub(crate) fn answering(mut conn: Conn) -> Self {
        let head = conn.read_head().expect("no answer");
        assert!(
            head.is_event_stream(),
            "{head:?}: {}",
            String::from_utf8_lossy(&conn.read_body().unwrap())
        );
        Self::of(conn)
    }

    pub(crate) fn of(conn: Conn) -> Self {
        Self { lines: BufReader::new(conn) }
    }

    pub(crate) fn close(&self) {
        self.lines.get_ref().close();
    }

    /// The next event that carries data; `None` at the end of the stream.
    /// Comments and events without data are skipped, as a browser does.
    pub(crate) fn next(&mut self) -> Result<Option<Event>> {
        let mut event = Event::default();
        let mut has_data = false;
        let deadline = now() + PATIENCE;
        loop {
            if now() > deadline {
                // Comments that keep the stream alive keep no test waiting.
                return Err(Error::from(ErrorKind::TimedOut));
            }
            let mut line = String::new();
            if self.lines.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                if has_data {
                    return Ok(Some(event));
                }
                event = Event::default();
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut event.name),
                "id" => value.clone_into(&mut event.id),
                "retry" => value.clone_into(&mut event.retry),
                "data" => {
                    if has_data {
                        event.data.push('\n');
                    }
                    event.data.push_str(value);
                    has_data = true;
                }
                _ => {}
            }
        }
    }

    /// The next JSON-RPC message that is not a priming event without a message.
    #[track_caller]
    pub(crate) fn next_message(&mut self) -> Value {
        loop {
            let event = self.next().expect("the stream broke").expect("the stream ended");
            if !event.data.is_empty() {
                return event.json();
            }
        }
    }
}
