//! Batches: arrays of messages, which 2025-03-26 alone has.

use bytes::Bytes;

use crate::{
    ParseError,
    ParseErrorKind::{InvalidRequest, Syntax},
    scan::{MAX_DEPTH, Scanner, Span},
};

/// Messages that a batch may hold: each of them costs a decision and a row.
const MAX_BATCH: usize = 50;

/// The messages of a batch, as slices of `body`; `None` when `body` is not an array, which is to say
/// that it is for [`crate::Message::parse`].
///
/// Only the array is judged here: each item is still to be parsed, and is refused there under its
/// own id.
///
/// # Errors
///
/// `body` is not strict JSON, the array is empty, or it holds more than 50 items.
#[must_use]
pub fn batch(body: &Bytes) -> Option<Result<Vec<Bytes>, ParseError>> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace())?;
    (*first == b'[').then(|| split(body))
}

fn split(body: &Bytes) -> Result<Vec<Bytes>, ParseError> {
    if u32::try_from(body.len()).is_err() {
        return Err(ParseError::of_body(Syntax, None, "body of 4 GiB or more"));
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        ParseError::of_body(Syntax, Some(error.valid_up_to()), "body is not UTF-8")
    })?;
    // An item may be as deep as a message that stands alone.
    let mut scan = Scanner::new(text, MAX_DEPTH + 1);
    let mut items = Vec::new();
    let mut too_many = false;
    scan.white();
    let read = scan
        .elements(|scan| {
            let Span { start, end } = scan.value()?;
            too_many = items.len() == MAX_BATCH;
            if !too_many {
                items.push(body.slice(start as usize..end as usize));
            }
            Ok(())
        })
        .and_then(|_| scan.end());
    match scan.finish(read) {
        // What is ambiguous within an item is a fault of that item alone.
        Err(fault) if fault.kind == Syntax => Err(fault.into()),
        _ if items.is_empty() => {
            Err(ParseError::of_body(InvalidRequest, Some(0), "batch is empty"))
        }
        _ if too_many => {
            let what = format!("a batch has at most {MAX_BATCH} messages: send them in several");
            Err(ParseError::of_body(InvalidRequest, None, what))
        }
        _ => Ok(items),
    }
}

#[cfg(test)]
mod tests;
