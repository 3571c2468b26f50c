//! The headers of a stateless message, which repeat its body (2026-07-28, "Request Metadata").

use http::{HeaderMap, HeaderName, HeaderValue};
use protocol::{Message, header, mirror};

use crate::http::PROTOCOL_VERSION;

const MCP_METHOD: HeaderName = HeaderName::from_static(header::MCP_METHOD);
const MCP_NAME: HeaderName = HeaderName::from_static(header::MCP_NAME);

/// The headers of `message`. What no header can hold is left out: the server refuses the message
/// then, as it must.
pub(super) fn headers(message: &Message) -> HeaderMap {
    // These, what the request adds, and `Host`.
    let mut headers = HeaderMap::with_capacity(8 + message.param_headers().len());
    let mut repeat = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.append(name, value);
        }
    };
    if let Some(version) = message.envelope_version() {
        repeat(PROTOCOL_VERSION, &version);
    }
    repeat(MCP_METHOD, &message.method_name());
    if let Some(name) = mirror::name_of(message) {
        repeat(MCP_NAME, &mirror::encode(&name));
    }
    for param in message.param_headers() {
        // No other header of the client goes on.
        let name = HeaderName::from_bytes(param.name.as_bytes());
        match name {
            Ok(name) if name.as_str().starts_with(header::MCP_PARAM_PREFIX) => {
                repeat(name, &param.value);
            }
            Ok(_) | Err(_) => {}
        }
    }
    headers
}
