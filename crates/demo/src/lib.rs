//! A small MCP server to try the gateway on: `mcp-proxy demo-server`.
//!
//! It has what policies are written about: tools that read, tools that write (inside a temporary folder), customer data, a
//! slow tool, one that reports progress, and one whose description tries to give the model orders. It speaks the stateful
//! revisions of MCP over stdio or Streamable HTTP.

mod http;
mod server;
mod stdio;
mod tools;

pub use http::serve_http;
pub use server::Server;
pub use stdio::serve_stdio;

#[cfg(test)]
mod tests;
