//! What comes in answer to one call, checked message by message.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Error;

/// What has come so far in answer to one request.
pub(super) struct Tally<'a> {
    /// The id of the request, which is its progress token as well.
    pub(super) id: String,
    /// The text to echo, which progress repeats.
    pub(super) text: &'a str,
    pub(super) progress: usize,
    pub(super) result: Option<String>,
}

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<Progress<'a>>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Progress<'a> {
    #[serde(borrow, rename = "progressToken")]
    token: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Echo<'a> {
    #[serde(borrow)]
    content: [Content<'a>; 1],
    #[serde(default, rename = "isError")]
    is_error: bool,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

impl Tally<'_> {
    /// Takes the next message.
    pub(super) fn absorb(&mut self, message: &[u8]) -> Result<(), Error> {
        let wrong =
            |why: &str| Error::Answer(format!("{why}: `{}`", String::from_utf8_lossy(message)));
        let incoming: Incoming<'_> =
            serde_json::from_slice(message).map_err(|e| wrong(&format!("does not parse ({e})")))?;
        if self.result.is_some() {
            return Err(wrong("came after the answer"));
        }
        match incoming.method.as_deref() {
            None if incoming.id.map(RawValue::get) != Some(&self.id) => {
                Err(wrong("has another request's id"))
            }
            None => {
                let result = incoming.result.ok_or_else(|| wrong("is an error"))?;
                self.result = Some(result.get().to_owned());
                Ok(())
            }
            Some("notifications/progress") => {
                let progress = incoming.params.ok_or_else(|| wrong("has no params"))?;
                if progress.token.map(RawValue::get) != Some(&self.id) {
                    return Err(wrong("has another request's progress token"));
                }
                if progress.message.as_deref() != Some(self.text) {
                    return Err(wrong("is another session's progress"));
                }
                self.progress += 1;
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }
}

/// Whether `result` echoes exactly `text`.
pub(super) fn echoes(result: &str, text: &str) -> Result<(), Error> {
    let echo: Echo<'_> = serde_json::from_str(result)
        .map_err(|e| Error::Answer(format!("`{result}` is no echo: {e}")))?;
    let [Content { text: got }] = echo.content;
    if echo.is_error || got != text {
        return Err(Error::Answer(format!("asked to echo `{text}`, got `{got}`")));
    }
    Ok(())
}
