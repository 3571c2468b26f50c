//! One MCP session over Streamable HTTP or HTTP+SSE (2024-11-05), whose every answer is checked.
//!
//! Sessions use the same ids (1, 2, 3, …) on purpose, as real clients do: only the echoed text tells
//! whose answer it is, so an answer that a gateway hands to the wrong session is always noticed.

use std::borrow::Cow;
use std::io::Write;

use hyper::Uri;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Error;
use crate::connection::{Connection, Head};
use crate::events::{Event, Events};

/// How a client talks to the server under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// Streamable HTTP.
    Http,
    /// HTTP+SSE of revision 2024-11-05.
    Sse,
}

/// What each call looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Bytes of the echoed argument.
    pub(crate) argument: usize,
    /// Progress events expected before each result.
    pub(crate) progress: usize,
}

/// An initialised session.
pub(crate) struct Session {
    shape: Shape,
    label: String,
    post: Connection,
    post_path: String,
    fields: String,
    stream: Option<Stream>,
    last_id: u64,
    text: String,
    message: Vec<u8>,
    answer: Vec<u8>,
}

/// The event stream on which HTTP+SSE answers.
struct Stream {
    connection: Connection,
    head: Head,
    events: Events,
}

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<Progress<'a>>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Progress<'a> {
    #[serde(borrow, rename = "progressToken")]
    token: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Echo<'a> {
    #[serde(borrow)]
    content: [Content<'a>; 1],
    #[serde(default, rename = "isError")]
    is_error: bool,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

impl Session {
    /// Connects, does the handshake and keeps the session id; `label` is unique to this session.
    pub(crate) fn open(
        url: &Uri,
        transport: Transport,
        shape: Shape,
        label: String,
    ) -> Result<Self, Error> {
        let authority = url
            .authority()
            .ok_or_else(|| Error::Setup(format!("`{url}` has no host: write http://HOST:PORT/…")))?
            .as_str();
        let (stream, post_path) = match transport {
            Transport::Http => (None, url.path().to_owned()),
            Transport::Sse => {
                let (stream, path) = Stream::open(authority, url.path())?;
                (Some(stream), path)
            }
        };
        let mut session = Self {
            shape,
            label,
            post: Connection::open(authority)?,
            post_path,
            fields: String::new(),
            stream,
            last_id: 0,
            text: String::new(),
            message: Vec::new(),
            answer: Vec::new(),
        };
        session.initialize(transport)?;
        Ok(session)
    }

    fn initialize(&mut self, transport: Transport) -> Result<(), Error> {
        let version = match transport {
            Transport::Http => "2025-06-18",
            Transport::Sse => "2024-11-05",
        };
        self.last_id = 1;
        self.message = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"load","version":"1"}}}}}}"#
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
        let meta = match self.shape.progress {
            0 => String::new(),
            _ => format!(r#","_meta":{{"progressToken":"{}"}}"#, self.token()),
        };
        write!(
            self.message,
            r#"{{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{{"name":"echo","arguments":{{"message":"{}"}}{meta}}}}}"#,
            self.last_id, self.text,
        )
        .map_err(Error::io("write the call"))?;
        let (_, result) = self.exchange(self.shape.progress)?;
        let echo: Echo<'_> = serde_json::from_str(&result)
            .map_err(|e| Error::Answer(format!("`{result}` is no echo: {e}")))?;
        if echo.is_error || echo.content[0].text != self.text {
            let [Content { text }] = echo.content;
            return Err(Error::Answer(format!("asked to echo `{}`, got `{text}`", self.text)));
        }
        Ok(())
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
        let mut tally =
            Tally { id: self.last_id.to_string(), token: self.token(), progress: 0, result: None };
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

    fn token(&self) -> String {
        format!("{}-{}", self.label, self.last_id)
    }

    /// Ends the session, as a well-behaved client does, so that no server keeps growing.
    pub(crate) fn close(mut self) -> Result<(), Error> {
        if self.stream.is_none() && self.fields.contains("mcp-session-id") {
            self.post.request("DELETE", &self.post_path, &self.fields, b"")?;
        }
        Ok(())
    }
}

impl Stream {
    /// Opens the stream; also returns where it says that messages go.
    fn open(authority: &str, path: &str) -> Result<(Self, String), Error> {
        let mut connection = Connection::open(authority)?;
        let head = connection.request("GET", path, "", b"")?;
        let mut stream = Self { connection, head, events: Events::default() };
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

    fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.events.take() {
                return Ok(event);
            }
            if !self.connection.read_part(&mut self.head, &mut self.events.pending)? {
                return Err(Error::Answer("the event stream ended".to_owned()));
            }
        }
    }
}

/// What has come so far in answer to one request.
struct Tally {
    id: String,
    token: String,
    progress: usize,
    result: Option<String>,
}

impl Tally {
    fn absorb(&mut self, message: &[u8]) -> Result<(), Error> {
        let wrong =
            |why: &str| Error::Answer(format!("{why}: `{}`", String::from_utf8_lossy(message)));
        let incoming: Incoming<'_> =
            serde_json::from_slice(message).map_err(|e| wrong(&format!("does not parse ({e})")))?;
        if self.result.is_some() {
            return Err(wrong("came after the answer"));
        }
        match incoming.method.as_deref() {
            None if incoming.id.map(RawValue::get) != Some(&self.id) => {
                Err(wrong("has another request's id"))
            }
            None => {
                let result = incoming.result.ok_or_else(|| wrong("is an error"))?;
                self.result = Some(result.get().to_owned());
                Ok(())
            }
            Some("notifications/progress") => {
                let token = incoming.params.and_then(|params| params.token);
                if token.as_deref() != Some(&self.token) {
                    return Err(wrong("has another request's progress token"));
                }
                self.progress += 1;
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }
}
