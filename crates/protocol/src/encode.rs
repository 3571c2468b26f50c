//! Writing messages of the gateway's own. Everything here is valid JSON when its raw arguments are.

use bytes::Bytes;

/// Appends `value` to `out` as a JSON string, quotes included.
///
/// Besides what RFC 8259 demands, U+2028, U+2029 and U+007F..U+009F are escaped: some readers take
/// them as line ends or as terminal controls.
pub fn string(out: &mut String, value: &str) {
    out.push('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                escape(out, u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

fn escape(out: &mut String, unit: u32) {
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        out.push(char::from_digit((unit >> shift) & 0xf, 16).unwrap_or('0'));
    }
}

/// A JSON-RPC error reply. `id` and `data` are raw JSON; an absent id is written as `null`
/// (JSON-RPC 2.0, section 5).
#[must_use]
pub fn error_reply(id: Option<&str>, code: i32, message: &str, data: Option<&str>) -> Bytes {
    error(&[r#""id":"#, id.unwrap_or("null"), ","], code, message, data)
}

/// A JSON-RPC error reply to nothing that could be read, without an id (MCP 2026-07-28).
#[must_use]
pub fn error_without_id(code: i32, message: &str, data: Option<&str>) -> Bytes {
    error(&[], code, message, data)
}

fn error(id: &[&str], code: i32, message: &str, data: Option<&str>) -> Bytes {
    let mut out = String::with_capacity(96 + message.len() + data.map_or(0, str::len));
    out.push_str(r#"{"jsonrpc":"2.0","#);
    out.extend(id.iter().copied());
    out.push_str(r#""error":{"code":"#);
    out.push_str(&code.to_string());
    out.push_str(r#","message":"#);
    string(&mut out, message);
    if let Some(data) = data {
        out.push_str(r#","data":"#);
        out.push_str(data);
    }
    out.push_str("}}");
    Bytes::from(out)
}

/// A JSON-RPC success reply; `id` and `result` are raw JSON.
#[must_use]
pub fn result_reply(id: &str, result: &str) -> Bytes {
    joined(&[r#"{"jsonrpc":"2.0","id":"#, id, r#","result":"#, result, "}"])
}

/// A request of the gateway's own; `id` and `params` are raw JSON, `method` is a name.
#[must_use]
pub fn request(id: &str, method: &str, params: Option<&str>) -> Bytes {
    call(&[r#"{"jsonrpc":"2.0","id":"#, id, r#","method":"#], method, params)
}

/// A notification of the gateway's own; `params` is raw JSON, `method` is a name.
#[must_use]
pub fn notification(method: &str, params: Option<&str>) -> Bytes {
    call(&[r#"{"jsonrpc":"2.0","method":"#], method, params)
}

fn call(head: &[&str], method: &str, params: Option<&str>) -> Bytes {
    let mut name = String::with_capacity(method.len() + 2);
    string(&mut name, method);
    let head = head.concat();
    match params {
        Some(params) => joined(&[&head, &name, r#","params":"#, params, "}"]),
        None => joined(&[&head, &name, "}"]),
    }
}

fn joined(parts: &[&str]) -> Bytes {
    Bytes::from(parts.concat())
}

#[cfg(test)]
mod tests;
