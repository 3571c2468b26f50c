//! What clients declare: whether it is enough for what a server asks of them, and how a session is
//! opened with it.

use protocol::{Message, Method, object};

/// Why a client cannot be asked something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unable {
    /// No client answers this method.
    Unanswered,
    /// It did not declare this capability, a JSON object.
    Undeclared(&'static str),
}

/// Whether a client that declared `capabilities` (raw JSON) can be asked this.
///
/// # Errors
///
/// Why not.
pub(crate) fn check(capabilities: &str, question: &Message) -> Result<(), Unable> {
    let declared = |name: &str| object::get(capabilities, name);
    let (able, needed) = match question.method() {
        Some(Method::SamplingCreateMessage) => {
            (declared("sampling").is_some(), r#"{"sampling":{}}"#)
        }
        Some(Method::RootsList) => (declared("roots").is_some(), r#"{"roots":{}}"#),
        Some(Method::ElicitationCreate) => {
            let modes = declared("elicitation");
            let has = |mode: &str| modes.is_some_and(|modes| object::get(modes, mode).is_some());
            let mode = question.params().and_then(|params| object::get(params, "mode"));
            if mode == Some(r#""url""#) {
                (has("url"), r#"{"elicitation":{"url":{}}}"#)
            } else {
                // No mode at all is the form, which was all there was at first.
                let form = modes.is_some() && (has("form") || !has("url"));
                (form, r#"{"elicitation":{"form":{}}}"#)
            }
        }
        _ => return Err(Unable::Unanswered),
    };
    if able { Ok(()) } else { Err(Unable::Undeclared(needed)) }
}

/// The capabilities (raw JSON) that a session is opened with, spelt in one way, so that clients
/// that declare the same share a session: members in order of their keys, no white space outside
/// arrays. What only 2026-07-28 has, or has another design of, is left out.
pub(crate) fn of_session(declared: &str) -> String {
    canonical(&object::edit(declared, &[("extensions", None), ("tasks", None)]))
}

/// Raw JSON with the members of objects in order of their keys.
fn canonical(raw: &str) -> String {
    let Ok(mut members) = object::members(raw) else { return raw.to_owned() };
    members.sort_by(|a, b| a.key.cmp(&b.key));
    let values: Vec<String> = members.iter().map(|member| canonical(member.value)).collect();
    let edits = members.iter().zip(&values).map(|(member, value)| (&*member.key, Some(&**value)));
    object::edit("{}", &edits.collect::<Vec<_>>())
}
