//! Values as Rego writes them. Whatever a file says leaves through here.

use serde_json::Value;

/// A string, quoted: only printable ASCII, so that nothing can end the line, the string or the comment it stands in.
pub(crate) fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    quoted.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    quoted.push('"');
    quoted
}

/// A JSON value, one element a line where it has several.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(self::value).collect();
            lines('[', &items, ']')
        }
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                format!("{}: {}", string(key), self::value(value))
            };
            let members: Vec<String> = members.iter().map(member).collect();
            lines('{', &members, '}')
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A set of values; there must be one.
pub(crate) fn set<'a>(values: impl IntoIterator<Item = &'a Value>) -> String {
    let values: Vec<String> = values.into_iter().map(value).collect();
    lines('{', &values, '}')
}

/// The path `input.a.b`, quoted part by part.
pub(crate) fn input(path: &[String]) -> String {
    let parts: String = path.iter().map(|part| format!("[{}]", string(part))).collect();
    format!("input{parts}")
}

fn lines(open: char, items: &[String], close: char) -> String {
    match items {
        [] => format!("{open}{close}"),
        [one] => format!("{open}{one}{close}"),
        several => format!("{open}\n{}\n{close}", several.join(",\n")),
    }
}
