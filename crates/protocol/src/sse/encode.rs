//! Writing events.

use bytes::Bytes;

/// A comment that keeps idle connections open and that no client sees.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// An event of type `message`.
#[must_use]
pub fn encode_message(data: &[u8]) -> Bytes {
    encode_event("message", None, data)
}

/// An event of type `message` under the id to resume after.
#[must_use]
pub fn encode_with_id(id: &str, data: &[u8]) -> Bytes {
    encode_event("message", Some(id), data)
}

/// An event without data, which gives a client an id to resume after before there is a message
/// (2025-11-25), and the milliseconds to wait before it does.
#[must_use]
pub fn encode_priming(id: &str, retry_ms: Option<u64>) -> Bytes {
    let mut out = Vec::with_capacity(id.len() + 40);
    field(&mut out, b"id: ", id.as_bytes());
    if let Some(retry) = retry_ms {
        field(&mut out, b"retry: ", retry.to_string().as_bytes());
    }
    out.extend_from_slice(b"data:\n\n");
    Bytes::from(out)
}

/// An event. Line ends in `data` make further `data` lines, which a client joins by line feeds;
/// from `name` and `id`, which have one line, they are dropped, and from `id` NUL too.
#[must_use]
pub fn encode_event(name: &str, id: Option<&str>, data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(data.len() + name.len() + id.map_or(0, str::len) + 32);
    field(&mut out, b"event: ", name.as_bytes());
    if let Some(id) = id {
        field(&mut out, b"id: ", id.as_bytes());
    }
    for line in lines(data) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
    Bytes::from(out)
}

fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend(value.iter().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)));
    out.push(b'\n');
}

/// `data` split at LF, CR and CRLF.
fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = memchr::memchr2(b'\r', b'\n', text) else {
            rest = None;
            return Some(text);
        };
        let (line, tail) = text.split_at(end);
        let tail = tail.strip_prefix(b"\r\n").or_else(|| tail.get(1..));
        rest = tail;
        Some(line)
    })
}
