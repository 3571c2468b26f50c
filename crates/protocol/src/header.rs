//! Names of the HTTP headers that MCP defines, in lower case, as HTTP/2 wants them; HTTP/1.1 compares
//! them without case.

/// The session that the server minted (Streamable HTTP, 2025-03-26 to 2025-11-25).
pub const SESSION_ID: &str = "mcp-session-id";
/// The negotiated revision, sent with every message after `initialize` (2025-06-18 on).
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// The last event a client saw on a stream that it resumes (WHATWG server-sent events).
pub const LAST_EVENT_ID: &str = "last-event-id";
