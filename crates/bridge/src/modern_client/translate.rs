//! Requests of 2026-07-28 as a server with sessions takes them, and its answers as 2026-07-28 wants
//! them.

use domain::Failure;
use protocol::{Message, Method, Rewrite, encode, meta, object};

use crate::ask::{INVALID_PARAMS, RESOURCE_NOT_FOUND, recoded, written};
use crate::envelope::without;

/// Keys of `_meta` that belong to the protocol.
const RESERVED: &str = "io.modelcontextprotocol/";

/// A request without what only 2026-07-28 has, and without `task`, which it has no more: a server
/// of 2025-11-25 would take it for the wish to run as one.
///
/// # Errors
///
/// `Internal` when the translation is not valid MCP, which is a defect.
pub(super) fn request(message: &Message) -> Result<Message, Failure> {
    let meta = message.meta().and_then(|meta| without(meta, |key| key.starts_with(RESERVED)));
    let edits = [
        ("_meta", meta.as_deref()),
        ("inputResponses", None),
        ("requestState", None),
        ("task", None),
    ];
    let params = object::edit(message.params().unwrap_or("{}"), &edits);
    let id = message.id().unwrap_or("null");
    written(encode::request(id, &message.method_name(), Some(&params)))
}

/// The response to a request for `method`; `info` is what the server calls itself, raw JSON.
///
/// # Errors
///
/// As [`request`].
pub(super) fn response(
    method: Method,
    response: Message,
    info: Option<&str>,
) -> Result<Message, Failure> {
    let Some(result) = response.result() else { return error(response) };
    let meta = info.map(|info| {
        let old = object::get(result, "_meta").filter(|meta| meta.starts_with('{'));
        object::edit(old.unwrap_or("{}"), &[(meta::SERVER_INFO, Some(info))])
    });
    let mut edits = Vec::with_capacity(4);
    edits.push(("resultType", Some(r#""complete""#)));
    if method.is_cacheable() {
        edits.extend([("ttlMs", Some("0")), ("cacheScope", Some(r#""private""#))]);
    }
    if let Some(meta) = &meta {
        edits.push(("_meta", Some(meta)));
    }
    let result = object::edit(result, &edits);
    written(response.rewrite(&Rewrite { result: Some(&result), ..Rewrite::default() }))
}

fn error(response: Message) -> Result<Message, Failure> {
    match response.error_code() {
        Some(RESOURCE_NOT_FOUND) => recoded(&response, INVALID_PARAMS),
        Some(_) | None => Ok(response),
    }
}
