//! Keys of `_meta` that belong to the protocol (2026-07-28), in requests unless said otherwise.

/// The revision that the message is written in: what makes it one of the modern era.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What the client calls itself.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// What the client can do for the server while this request is answered.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// The level from which on the client wants log notifications for this request.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// What the server calls itself, in results.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// The id of the `subscriptions/listen` request on whose stream the message travels, in
/// notifications and in the result that ends the stream.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
