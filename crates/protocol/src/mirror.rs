//! Headers that repeat the body (Streamable HTTP of 2026-07-28, "Request Metadata"; SEP-2243).
//!
//! Whoever reads the body must see that the headers say the same, or a peer that reads only the
//! headers could be led to another conclusion. Nothing is ever decided on a header here: the body
//! is what counts, and a header is either the same or refused. Names of headers are compared without
//! case, values with it.

mod annotations;
mod value;

use std::borrow::Cow;

pub use self::{
    annotations::Annotations,
    value::{decode, encode},
};
use crate::{Message, Method, text::clip};

/// A header that repeats an argument of a tool and travels with its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamHeader {
    /// As on the wire, such as `Mcp-Param-Region`.
    pub name: Box<str>,
    /// As on the wire, encoded by [`encode`].
    pub value: Box<str>,
}

/// The values of the three standard headers as they were sent; `None` where one is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    /// Of `MCP-Protocol-Version`.
    pub version: Option<&'a str>,
    /// Of `Mcp-Method`.
    pub method: Option<&'a str>,
    /// Of `Mcp-Name`.
    pub name: Option<&'a str>,
}

/// Checks that `headers` repeat `message`, a request or notification of the modern era. An
/// `Mcp-Name` that the method has no use for is let pass, and so is a version that the body does
/// not repeat: what a body must say is [`Message::parse`]'s to demand.
///
/// # Errors
///
/// Which header is missing, unreadable or says something else.
pub fn check(message: &Message, headers: &Headers<'_>) -> Result<(), String> {
    let version = headers.version.ok_or("header `MCP-Protocol-Version` is missing")?;
    if let Some(body) = message.envelope_version() {
        compare("MCP-Protocol-Version", version, &body)?;
    }
    let method = headers.method.ok_or("header `Mcp-Method` is missing")?;
    compare("Mcp-Method", method, &message.method_name())?;
    if let Some(body) = name_of(message) {
        let name = headers.name.ok_or("header `Mcp-Name` is missing")?;
        compare("Mcp-Name", name, &body)?;
    }
    Ok(())
}

/// What `Mcp-Name` must say, before encoding: the tool, prompt or resource that is used, or the
/// task that is spoken of (SEP-2663, "Routing Headers"). `None` for methods without the header.
#[must_use]
pub fn name_of(message: &Message) -> Option<Cow<'_, str>> {
    let method = message.method()?;
    if matches!(method, Method::ToolsCall | Method::PromptsGet) {
        message.name()
    } else if method == Method::ResourcesRead {
        message.uri()
    } else if matches!(method, Method::TasksGet | Method::TasksUpdate | Method::TasksCancel) {
        message.task_id()
    } else {
        None
    }
}

fn compare(header: &str, sent: &str, body: &str) -> Result<(), String> {
    let said = decode(sent).map_err(|error| format!("header `{header}` {error}"))?;
    if said == body {
        return Ok(());
    }
    Err(format!("header `{header}` says `{}`, the body `{}`", clip(&said), clip(body)))
}

#[cfg(test)]
mod tests;
