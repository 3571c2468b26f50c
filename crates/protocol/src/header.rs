//! Names of the HTTP headers that MCP defines, in lower case, as HTTP/2 wants them; HTTP/1.1 compares
//! them without case.

/// The session that the server minted (Streamable HTTP, 2025-03-26 to 2025-11-25).
pub const SESSION_ID: &str = "mcp-session-id";
/// The revision: the negotiated one with every message after `initialize` (2025-06-18 on), the
/// one that the message names itself in the modern era (2026-07-28).
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// The method of the message, repeated (2026-07-28).
pub const MCP_METHOD: &str = "mcp-method";
/// The tool, prompt, resource or task that the request is about, repeated (2026-07-28).
pub const MCP_NAME: &str = "mcp-name";
/// What the names of headers begin with that repeat an argument of a tool (2026-07-28).
pub const MCP_PARAM_PREFIX: &str = "mcp-param-";
/// The last event a client saw on a stream that it resumes (WHATWG server-sent events).
pub const LAST_EVENT_ID: &str = "last-event-id";
