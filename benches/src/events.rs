//! Server-sent events: bytes in, whole events out (WHATWG HTML, section 9.2).

#[cfg(test)]
mod tests;

/// The unread part of an event stream.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Where the caller appends what it has read.
    pub(crate) pending: Vec<u8>,
}

/// One event with data.
#[derive(Debug, PartialEq)]
pub(crate) struct Event {
    /// The `event` field; `message` when there is none.
    pub(crate) name: String,
    /// The `data` fields, joined by line feeds.
    pub(crate) data: String,
}

impl Events {
    /// Takes the first complete event that has data; `None` when more bytes are needed.
    pub(crate) fn take(&mut self) -> Option<Event> {
        let (mut name, mut data) = (None, None::<String>);
        let mut used = 0;
        for line in self.pending.split_inclusive(|&byte| byte == b'\n') {
            let Some(line_end) = line.strip_suffix(b"\n") else { break };
            used += line.len();
            let text = String::from_utf8_lossy(line_end.strip_suffix(b"\r").unwrap_or(line_end));
            if text.is_empty() {
                let Some(data) = data.take() else {
                    name = None;
                    continue;
                };
                self.pending.drain(..used);
                return Some(Event { name: name.unwrap_or_else(|| "message".to_owned()), data });
            }
            let (field, value) = text.split_once(':').unwrap_or((&text, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => name = Some(value.to_owned()),
                "data" => match &mut data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => data = Some(value.to_owned()),
                },
                _ => {}
            }
        }
        None
    }
}
