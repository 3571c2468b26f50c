//! The headers of MCP on a request. What they say is compared with the body by the router; here each of them has one
//! value, under one name.

use http::HeaderValue;
use http::request::Parts;
use protocol::ParamHeader;
use protocol::header::{MCP_METHOD, MCP_NAME, MCP_PARAM_PREFIX, PROTOCOL_VERSION, SESSION_ID};
use router::HttpTicket;

use crate::refusal::Refusal;

/// What every header of MCP begins with, the names of extensions included.
const MCP: &str = "mcp";

/// What the headers say of the message, as they were sent.
///
/// # Errors
///
/// A header that stands twice or is not visible ASCII, and one that is spelt with `_` for `-`: what is behind the
/// gateway may read it as the right one.
pub(crate) fn ticket(parts: &Parts) -> Result<HttpTicket, Refusal> {
    let mut ticket = HttpTicket::default();
    let mut params: Vec<ParamHeader> = Vec::new();
    for (name, value) in &parts.headers {
        let name = name.as_str();
        if !name.starts_with(MCP) {
            continue;
        }
        let field = match name {
            SESSION_ID => &mut ticket.session,
            PROTOCOL_VERSION => &mut ticket.version,
            MCP_METHOD => &mut ticket.method,
            MCP_NAME => &mut ticket.name,
            _ if name.starts_with(MCP_PARAM_PREFIX) => {
                if params.iter().any(|param| *param.name == *name) {
                    return Err(twice(name));
                }
                params.push(ParamHeader { name: name.into(), value: text(name, value)?.into() });
                continue;
            }
            _ if is_disguised(name) => {
                let message = format!("the header `{name}` has `_` where `-` belongs");
                return Err(Refusal::mismatch(message));
            }
            _ => continue,
        };
        if field.replace(text(name, value)?.to_owned()).is_some() {
            return Err(twice(name));
        }
    }
    if !params.is_empty() {
        ticket.params = params.into();
    }
    Ok(ticket)
}

/// Headers of the transport are refused as such, those that repeat the body as 2026-07-28 has it.
fn refusal(name: &str, message: String) -> Refusal {
    match name {
        SESSION_ID | PROTOCOL_VERSION => Refusal::bad(message),
        _ => Refusal::mismatch(message),
    }
}

fn twice(name: &str) -> Refusal {
    refusal(name, format!("the header `{name}` stands more than once"))
}

fn text<'a>(name: &str, value: &'a HeaderValue) -> Result<&'a str, Refusal> {
    value.to_str().map_err(|_| refusal(name, format!("the header `{name}` is not visible ASCII")))
}

/// Whether a name is one of MCP's but for underscores in place of hyphens. The part of a `Mcp-Param-*` that is up to
/// the tool may have underscores.
fn is_disguised(name: &str) -> bool {
    let reads_as = |known: &str, name: Option<&str>| {
        name.is_some_and(|name| {
            name.len() == known.len()
                && name
                    .bytes()
                    .zip(known.bytes())
                    .all(|(byte, known)| byte == known || (byte, known) == (b'_', b'-'))
        })
    };
    [SESSION_ID, PROTOCOL_VERSION, MCP_METHOD, MCP_NAME]
        .into_iter()
        .any(|known| reads_as(known, Some(name)))
        || reads_as(MCP_PARAM_PREFIX, name.get(..MCP_PARAM_PREFIX.len()))
}

#[cfg(test)]
mod tests;
