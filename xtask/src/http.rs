//! As much of HTTP/1.1 as posting raw bytes to a loopback server takes, one connection a request.
//!
//! Deliberately no library: it sends bodies that no JSON library would, and shows what came back as it came.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(20);

/// What a server answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The status code.
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Posts `body` to `/mcp`.
///
/// # Errors
/// When the connection fails, or closes before an answer.
pub(crate) fn post(port: u16, session: Option<&str>, body: &[u8]) -> anyhow::Result<Reply> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("cannot connect")?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let session = session.map(|id| format!("mcp-session-id: {id}\r\n")).unwrap_or_default();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n\
         content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         {session}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("no end of the answer")?;
    parse(&answer)
}

fn parse(answer: &[u8]) -> anyhow::Result<Reply> {
    let (head, rest) = split(answer, b"\r\n\r\n").context("the connection closed unanswered")?;
    let head = std::str::from_utf8(head).context("the head of the answer is not text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?;
    let status = status.parse().with_context(|| format!("bad status `{status}`"))?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut reply = Reply { status, headers, body: rest.to_vec() };
    if reply.header("transfer-encoding") == Some("chunked") {
        reply.body = unchunk(rest)?;
    }
    Ok(reply)
}

fn unchunk(mut rest: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let (size, after) = split(rest, b"\r\n").context("a chunk without its size")?;
        let size = std::str::from_utf8(size).context("bad chunk size")?;
        let size = usize::from_str_radix(size, 16).context("bad chunk size")?;
        if size == 0 {
            return Ok(body);
        }
        let Some((chunk, next)) = after.split_at_checked(size) else { bail!("a chunk is cut off") };
        body.extend_from_slice(chunk);
        rest = next.strip_prefix(b"\r\n").context("a chunk without its end")?;
    }
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let position = bytes.windows(at.len()).position(|window| window == at)?;
    let (before, rest) = bytes.split_at_checked(position)?;
    Some((before, rest.get(at.len()..)?))
}

impl Reply {
    /// The first header of this name, given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The JSON-RPC answer in it: the body, or the last event of a stream.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn message(&self) -> anyhow::Result<Value> {
        let text = std::str::from_utf8(&self.body).context("the answer is not text")?;
        let stream =
            self.header("content-type").is_some_and(|t| t.starts_with("text/event-stream"));
        let json = if stream {
            text.lines().rev().find_map(|line| line.strip_prefix("data:")).context("no event")?
        } else {
            text
        };
        serde_json::from_str(json).with_context(|| format!("not JSON: `{text}`"))
    }
}

#[cfg(test)]
mod tests;
