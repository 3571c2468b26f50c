//! An answer of a stateless server, as a client with a session expects it.

use domain::Failure;
use protocol::{Message, Method, Rewrite, meta, object};

use crate::ask::{INVALID_PARAMS, RESOURCE_NOT_FOUND, recoded, written};
use crate::bridge::Shared;
use crate::envelope::without;

/// A complete result without what only 2026-07-28 has, and without what earlier revisions forbid.
///
/// # Errors
///
/// `Internal` when the translation is not valid MCP, which is a defect.
pub(super) fn complete(
    request: &Message,
    response: &Message,
    shared: &Shared,
) -> Result<Message, Failure> {
    let (Some(result), Some(method)) = (response.result(), request.method()) else {
        return Ok(response.clone());
    };
    let members = object::members(result).unwrap_or_default();
    let member =
        |key: &str| members.iter().find(|member| member.key == key).map(|found| found.value);
    let meta = member("_meta").and_then(|meta| without(meta, |key| key == meta::SERVER_INFO));
    let mut edits = vec![("resultType", None), ("_meta", meta.as_deref())];
    if method.is_cacheable() {
        edits.extend([("ttlMs", None), ("cacheScope", None)]);
    }
    if member("structuredContent").is_some_and(|structured| !structured.starts_with('{')) {
        // Any JSON in 2026-07-28, an object before; its text is in `content` too.
        edits.push(("structuredContent", None));
    }
    let listed = if method == Method::ToolsList {
        let first = request.params().and_then(|params| object::get(params, "cursor")).is_none();
        shared.tools().read(result, first, shared.has_headers())
    } else {
        None
    };
    if let Some(listed) = &listed {
        edits.push(("tools", Some(listed)));
    }
    let result = object::edit(result, &edits);
    written(response.rewrite(&Rewrite { result: Some(&result), ..Rewrite::default() }))
}

/// An error under the code that earlier revisions have for it.
///
/// # Errors
///
/// As [`complete`].
pub(super) fn error(request: &Message, response: &Message) -> Result<Message, Failure> {
    let unknown_resource = |error: &&str| {
        request.method() == Some(Method::ResourcesRead)
            && response.error_code() == Some(INVALID_PARAMS)
            && object::get(error, "data").is_some_and(|data| object::get(data, "uri").is_some())
    };
    match response.error().filter(unknown_resource) {
        Some(_) => recoded(response, RESOURCE_NOT_FOUND),
        None => Ok(response.clone()),
    }
}
