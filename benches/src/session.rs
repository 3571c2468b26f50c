//! One MCP client, whose every answer is checked: a session over Streamable HTTP or HTTP+SSE, or
//! requests of the stateless revision.
//!
//! All clients use the same ids (0, 1, 2, …) on purpose, as real ones do, and the same numbers as
//! progress tokens: only the echoed text tells whose answer it is, so one that a gateway hands to the
//! wrong client is always noticed.

mod stream;
mod tally;

use std::io::Write;

use hyper::Uri;

use self::stream::Stream;
use self::tally::Tally;
use crate::Error;
use crate::connection::Connection;
use crate::events::Events;

/// How a client talks to the server under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// Streamable HTTP with sessions.
    Http,
    /// HTTP+SSE of revision 2024-11-05.
    Sse,
    /// Streamable HTTP of revision 2026-07-28: no session, an envelope in every request.
    Stateless,
}

impl Transport {
    /// Where a server of this project is asked.
    pub fn path(self) -> &'static str {
        match self {
            Self::Http | Self::Stateless => "/mcp",
            Self::Sse => "/sse",
        }
    }
}

/// What each call looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Bytes of the echoed argument.
    pub(crate) argument: usize,
    /// Progress events expected before each result.
    pub(crate) progress: usize,
}

/// The members of `_meta` that 2026-07-28 wants in every request.
const ENVELOPE: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"load","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}"#;

/// The header lines that 2026-07-28 wants with every request; `name` is whole, or empty.
fn stateless_fields(method: &str, name: &str) -> String {
    format!("mcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n{name}")
}

/// A client that has been greeted.
pub(crate) struct Session {
    shape: Shape,
    label: String,
    is_stateless: bool,
    post: Connection,
    post_path: String,
    /// Whole header lines that go with every call.
    fields: String,
    stream: Option<Stream>,
    last_id: u64,
    text: String,
    message: Vec<u8>,
    answer: Vec<u8>,
}

/// The silent GET stream of a session.
pub(crate) struct Idle(Stream);

/// A `subscriptions/listen` for one resource.
pub(crate) struct Listening {
    stream: Stream,
    uri: String,
}

impl Session {
    /// Connects, does the handshake and keeps the session id; `label` is unique to this client.
    pub(crate) fn open(
        url: &Uri,
        transport: Transport,
        shape: Shape,
        label: String,
    ) -> Result<Self, Error> {
        let authority = authority(url)?;
        let (stream, post_path) = match transport {
            Transport::Http | Transport::Stateless => (None, url.path().to_owned()),
            Transport::Sse => {
                let (stream, path) = Stream::open(authority, url.path())?;
                (Some(stream), path)
            }
        };
        let mut session = Self {
            shape,
            label,
            is_stateless: transport == Transport::Stateless,
            post: Connection::open(authority)?,
            post_path,
            fields: String::new(),
            stream,
            last_id: 0,
            text: String::new(),
            message: Vec::new(),
            answer: Vec::new(),
        };
        if session.is_stateless {
            session.discover()?;
        } else {
            session.initialize(transport)?;
        }
        Ok(session)
    }

    fn discover(&mut self) -> Result<(), Error> {
        self.fields = stateless_fields("server/discover", "");
        self.message = format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"server/discover","params":{{"_meta":{{{ENVELOPE}}}}}}}"#
        )
        .into_bytes();
        let (_, result) = self.exchange(0)?;
        if !result.contains("2026-07-28") {
            return Err(Error::Answer(format!("`{result}` does not offer 2026-07-28")));
        }
        self.fields = stateless_fields("tools/call", "mcp-name: echo\r\n");
        Ok(())
    }

    fn initialize(&mut self, transport: Transport) -> Result<(), Error> {
        let version = if transport == Transport::Sse { "2024-11-05" } else { "2025-06-18" };
        self.message = format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"load","version":"1"}}}}}}"#
        )
        .into_bytes();
        let (session_id, result) = self.exchange(0)?;
        if !result.contains("protocolVersion") {
            return Err(Error::Answer(format!("`{result}` is no answer to initialize")));
        }
        if transport == Transport::Http {
            self.fields = format!("mcp-protocol-version: {version}\r\n");
            if let Some(id) = session_id {
                self.fields.push_str(&format!("mcp-session-id: {id}\r\n"));
            }
        }
        self.message = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_vec();
        let mut head = self.post.request("POST", &self.post_path, &self.fields, &self.message)?;
        self.answer.clear();
        self.post.read_body(&mut head, &mut self.answer)?;
        match head.status {
            200..300 => Ok(()),
            status => Err(Error::Answer(format!("a notification was answered {status}"))),
        }
    }

    /// Calls the tool `echo` once.
    ///
    /// # Errors
    /// Anything but exactly the asked-for progress events and one answer with this call's id and text.
    /// The session is not usable after an error.
    pub(crate) fn call(&mut self) -> Result<(), Error> {
        self.last_id += 1;
        self.text.clear();
        self.text.push_str(&format!("{}-{}-", self.label, self.last_id));
        let filling = self.shape.argument.saturating_sub(self.text.len());
        self.text.extend(std::iter::repeat_n('x', filling));
        self.message.clear();
        let meta = match (self.is_stateless, self.shape.progress) {
            (false, 0) => String::new(),
            (false, _) => format!(r#","_meta":{{"progressToken":{}}}"#, self.last_id),
            (true, 0) => format!(r#","_meta":{{{ENVELOPE}}}"#),
            (true, _) => format!(r#","_meta":{{"progressToken":{},{ENVELOPE}}}"#, self.last_id),
        };
        write!(
            self.message,
            r#"{{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{{"name":"echo","arguments":{{"message":"{}"}}{meta}}}}}"#,
            self.last_id, self.text,
        )
        .map_err(Error::io("write the call"))?;
        let (_, result) = self.exchange(self.shape.progress)?;
        tally::echoes(&result, &self.text)
    }

    /// Sends `message`; returns the session id of the response's head and the result.
    fn exchange(&mut self, progress: usize) -> Result<(Option<String>, String), Error> {
        let mut head = self.post.request("POST", &self.post_path, &self.fields, &self.message)?;
        self.answer.clear();
        self.post.read_body(&mut head, &mut self.answer)?;
        if !(200..300).contains(&head.status) {
            let body = String::from_utf8_lossy(&self.answer);
            return Err(Error::Answer(format!("status {}: `{body}`", head.status)));
        }
        let id = self.last_id.to_string();
        let mut tally = Tally { id, text: &self.text, progress: 0, result: None };
        if let Some(stream) = &mut self.stream {
            while tally.result.is_none() {
                tally.absorb(stream.next()?.data.as_bytes())?;
            }
        } else if head.is_events {
            let mut events = Events { pending: std::mem::take(&mut self.answer) };
            while let Some(event) = events.take() {
                tally.absorb(event.data.as_bytes())?;
            }
            self.answer = events.pending;
        } else {
            tally.absorb(&self.answer)?;
        }
        if tally.progress != progress {
            let seen = tally.progress;
            return Err(Error::Answer(format!("{seen} progress events instead of {progress}")));
        }
        let result = tally.result.ok_or_else(|| {
            Error::Answer(format!("the event stream ended without answer {}", self.last_id))
        })?;
        Ok((head.session, result))
    }

    /// Opens the session's GET stream on the connection of its handshake, and calls no more.
    pub(crate) fn idle(mut self) -> Result<Idle, Error> {
        let head = self.post.request("GET", &self.post_path, &self.fields, b"")?;
        Stream::new(self.post, head).map(Idle)
    }

    /// Ends the session, as a well-behaved client does, so that no server keeps growing.
    pub(crate) fn close(mut self) -> Result<(), Error> {
        if self.stream.is_none() && self.fields.contains("mcp-session-id") {
            self.post.request("DELETE", &self.post_path, &self.fields, b"")?;
        }
        Ok(())
    }
}

impl Idle {
    /// Whether the server has not closed the stream.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_open()
    }
}

impl Listening {
    /// Asks to hear of updates of `uri`, with the id that all clients use, and waits until the
    /// server has agreed.
    pub(crate) fn open(url: &Uri, uri: String) -> Result<Self, Error> {
        let message = format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"subscriptions/listen","params":{{"_meta":{{{ENVELOPE}}},"notifications":{{"resourceSubscriptions":["{uri}"]}}}}}}"#
        );
        let mut connection = Connection::patient(authority(url)?)?;
        let fields = stateless_fields("subscriptions/listen", "");
        let head = connection.request("POST", url.path(), &fields, message.as_bytes())?;
        let mut listening = Self { stream: Stream::new(connection, head)?, uri };
        let message = listening.stream.next()?.data;
        listening.check(&message, "notifications/subscriptions/acknowledged")?;
        Ok(listening)
    }

    /// Waits for the next update; `None` when the stream has ended.
    ///
    /// # Errors
    /// When it is of another resource or another subscription.
    pub(crate) fn update(&mut self) -> Option<Result<(), Error>> {
        let message = self.stream.next().ok()?.data;
        // The answer to the request itself ends the subscription.
        let is_notification = message.contains(r#""method":"#);
        is_notification.then(|| self.check(&message, "notifications/resources/updated"))
    }

    /// Whether a message is of this method, this resource and the one id that all clients use.
    fn check(&self, message: &str, method: &str) -> Result<(), Error> {
        let parts = [
            format!(r#""method":"{method}""#),
            format!(r#""{}""#, self.uri),
            r#""io.modelcontextprotocol/subscriptionId":0"#.to_owned(),
        ];
        match parts.iter().find(|part| !message.contains(*part)) {
            Some(part) => Err(Error::Answer(format!("`{message}` lacks `{part}`"))),
            None => Ok(()),
        }
    }
}

fn authority(url: &Uri) -> Result<&str, Error> {
    match url.authority() {
        Some(authority) => Ok(authority.as_str()),
        None => Err(Error::Setup(format!("`{url}` has no host: write http://HOST:PORT/…"))),
    }
}
