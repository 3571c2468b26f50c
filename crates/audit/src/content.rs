//! What a row keeps of the content of a message: masked, cut, and with a note of what is no longer as policy saw it.

use std::borrow::Cow;

use domain::AuditEvent;
use serde_json::json;

use crate::config::Capture;

/// Most bytes kept of a text that a client or server chooses.
const TEXT_LIMIT: usize = 4096;

/// The pointer to all arguments.
const ARGUMENTS: &str = "/arguments";

/// The columns that hold content.
pub(crate) struct Content<'a> {
    pub(crate) method: Cow<'a, str>,
    pub(crate) tool: Option<Cow<'a, str>>,
    pub(crate) resource: Option<Cow<'a, str>>,
    pub(crate) prompt: Option<Cow<'a, str>>,
    pub(crate) arguments: Option<Cow<'a, str>>,
    /// JSON pointers into `input`.
    changed: Vec<String>,
    arguments_are_kept: bool,
}

impl<'a> Content<'a> {
    pub(crate) fn of(event: &'a AuditEvent, capture: &Capture) -> Self {
        let mut changed = Vec::new();
        let mut kept = |pointer: &str, text: Option<&'a str>| {
            let kept = text.map(limited);
            if matches!(kept, Some(Cow::Owned(_))) {
                changed.push(pointer.to_owned());
            }
            kept
        };
        let method = kept("/method", Some(&event.method)).unwrap_or_default();
        let tool = kept("/tool", event.tool.as_deref());
        let prompt = kept("/prompt", event.prompt.as_deref());
        let resource = event.resource_uri.as_deref().map(|uri| {
            let masked = mask::uri(uri);
            if masked != uri || masked.len() > TEXT_LIMIT {
                changed.push("/resource".to_owned());
            }
            cut(&masked, TEXT_LIMIT).into_owned().into()
        });
        let mut content = Self {
            method,
            tool,
            resource,
            prompt,
            arguments: None,
            changed,
            arguments_are_kept: capture.request_arguments || event.evidence.no_arguments,
        };
        if let (true, Some(text)) = (capture.request_arguments, event.arguments.as_deref()) {
            content.keep_arguments(text, capture.max_bytes);
        }
        content
    }

    /// Keeps the masked arguments; when too long, an object with their beginning, so that the column stays JSON.
    fn keep_arguments(&mut self, text: &'a str, max_bytes: usize) {
        let masked = mask::json(text);
        self.arguments = match masked {
            None => {
                self.changed.push(ARGUMENTS.to_owned());
                None
            }
            Some(masked) if masked.len() > max_bytes => {
                self.changed.push(ARGUMENTS.to_owned());
                let head = head(&masked, max_bytes);
                let cut = json!({ "$truncated": { "bytes": text.len(), "head": head } });
                Some(cut.to_string().into())
            }
            Some(masked) => {
                if matches!(masked, Cow::Owned(_)) {
                    self.changed
                        .extend(mask::places(text).iter().map(|at| format!("{ARGUMENTS}{at}")));
                }
                Some(masked)
            }
        };
    }

    /// The column `redactions`: JSON pointers into `input`; `None` where there are arguments, they are not kept at all,
    /// and nothing else is changed.
    pub(crate) fn redactions(&self) -> Option<Cow<'static, str>> {
        let mut changed = Cow::Borrowed(&*self.changed);
        if !self.arguments_are_kept {
            if changed.is_empty() {
                return None;
            }
            changed.to_mut().push(ARGUMENTS.to_owned());
        }
        if changed.is_empty() {
            return Some("[]".into());
        }
        let list = json!(changed).to_string();
        if list.len() <= TEXT_LIMIT {
            return Some(list.into());
        }
        // Too many to name each.
        let whole = |pointer: &String| !pointer.starts_with("/arguments/");
        let mut fewer: Vec<String> = self.changed.iter().filter(|at| whole(at)).cloned().collect();
        fewer.push(ARGUMENTS.to_owned());
        Some(json!(fewer).to_string().into())
    }
}

/// The text, or its beginning when it is long.
pub(crate) fn limited(text: &str) -> Cow<'_, str> {
    cut(text, TEXT_LIMIT)
}

/// The first `limit` bytes or a little less, with a note of the whole length, when the text is longer.
fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}… [{} bytes]", head(text, limit), text.len()))
}

fn head(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}

/// The account of an answer: a sentence of the gateway, or the answer itself where that is captured. Secrets in JSON are
/// masked; what began as JSON and is none (any more) cannot be, and is not kept.
pub(crate) fn summary<'a>(capture: &Capture, text: &'a str) -> Cow<'a, str> {
    match mask::json(text) {
        Some(masked) => cut(&masked, capture.max_bytes).into_owned().into(),
        None if text.starts_with(['{', '[']) => format!("{} bytes", text.len()).into(),
        None => cut(text, capture.max_bytes),
    }
}
