//! HTTP statuses that say what a JSON-RPC error says.

/// The HTTP status of an error reply with this code in the modern era (Streamable HTTP of
/// 2026-07-28): clients tell by it a method that is unknown (404) and a request that was not even
/// looked at (400) from a call that failed.
#[must_use]
pub const fn http_status(code: i64) -> u16 {
    match code {
        -32601 => 404,
        -32022..=-32020 => 400,
        _ => 200,
    }
}

#[cfg(test)]
mod tests;
