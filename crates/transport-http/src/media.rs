//! `Accept` and `Content-Type` (RFC 9110, sections 8.3 and 12.5.1).

use http::header::{ACCEPT, HeaderMap};

pub(crate) const JSON: &str = "application/json";
pub(crate) const EVENTS: &str = "text/event-stream";

/// Whether `Accept` admits the media type. No header admits everything.
pub(crate) fn accepts(headers: &HeaderMap, media: &str) -> bool {
    let mut values = headers.get_all(ACCEPT).iter().peekable();
    values.peek().is_none()
        || values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|range| admits(range, media))
}

fn admits(range: &str, media: &str) -> bool {
    // With every message, and nearly always so.
    if range.trim_ascii() == media {
        return true;
    }
    let mut parts = range.split(';').map(str::trim_ascii);
    let Some(range) = parts.next() else { return false };
    let kind = media.split('/').next().unwrap_or_default();
    let named = range.eq_ignore_ascii_case(media)
        || range == "*/*"
        || range.strip_suffix("/*").is_some_and(|range| range.eq_ignore_ascii_case(kind));
    named && !parts.any(is_zero_weight)
}

/// `q=0`, `q=0.000`: not acceptable.
fn is_zero_weight(parameter: &str) -> bool {
    parameter
        .strip_prefix(['q', 'Q'])
        .and_then(|rest| rest.trim_ascii_start().strip_prefix('='))
        .and_then(|weight| weight.trim_ascii().parse::<f32>().ok())
        .is_some_and(|weight| weight <= 0.0)
}

/// Whether `Content-Type` says JSON in UTF-8.
pub(crate) fn is_json(content_type: &str) -> bool {
    if content_type == JSON {
        return true;
    }
    let mut parts = content_type.split(';').map(str::trim_ascii);
    parts.next().is_some_and(|media| media.eq_ignore_ascii_case(JSON))
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
                value.trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            Some(_) | None => true,
        })
}

#[cfg(test)]
mod tests;
