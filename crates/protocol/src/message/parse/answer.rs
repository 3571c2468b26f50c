//! The members of `result` and `error` that decide what an answer does.

use super::{Envelope, is_integer, params::PARAMS_KEYS};
use crate::{
    ParseErrorKind::InvalidRequest,
    meta,
    scan::{Scanner, Span, Stop},
};

/// Those that turn an answer into a question (2026-07-28).
const RESULT_KEYS: &[&str] = &["resultType", "inputRequests", "requestState"];
const QUESTION_KEYS: &[&str] = &["method", "params"];
const ERROR_KEYS: &[&str] = &["code", "message", "data"];

impl Envelope {
    /// A `result` that is an object.
    pub(super) fn read_result(&mut self, scan: &mut Scanner<'_>) -> Result<(), Stop> {
        self.parts.result = scan.members(|scan, key| {
            let at = scan.at();
            let place = match key {
                "resultType" => &mut self.parts.result_type,
                "inputRequests" if scan.peek() == b'{' => {
                    self.parts.input_requests = scan.members(|scan, _| read_question(scan))?;
                    return Ok(());
                }
                "inputRequests" => &mut self.parts.input_requests,
                "requestState" => &mut self.parts.request_state,
                "protocolVersion" => &mut self.parts.protocol_version,
                "_meta" => return self.read_result_meta(scan),
                _ => {
                    scan.refuse_variant(key, RESULT_KEYS);
                    return scan.value().map(|_| ());
                }
            };
            *place = scan.value()?;
            if key == "resultType" && !scan.slice(*place).starts_with('"') {
                scan.note(InvalidRequest, at, "`result.resultType` must be a string");
            }
            Ok(())
        })?;
        Ok(())
    }

    /// The result that ends a subscription names it once more.
    fn read_result_meta(&mut self, scan: &mut Scanner<'_>) -> Result<(), Stop> {
        if scan.peek() != b'{' {
            return scan.value().map(|_| ());
        }
        let meta = scan.members(|scan, key| {
            let value = scan.value()?;
            if key == meta::SUBSCRIPTION_ID {
                self.parts.subscription_id = value;
            }
            Ok(())
        });
        meta.map(|_| ())
    }

    /// An `error` member: an object with an integer `code` and a string `message`.
    pub(super) fn read_error(&mut self, scan: &mut Scanner<'_>) -> Result<(), Stop> {
        let at = scan.at();
        let what = "`error` must be an object with an integer `code` and a string `message`";
        if scan.peek() != b'{' {
            scan.note(InvalidRequest, at, what);
            self.parts.error = scan.value()?;
            return Ok(());
        }
        let mut message = Span::default();
        self.parts.error = scan.members(|scan, key| {
            scan.refuse_variant(key, ERROR_KEYS);
            let value = scan.value()?;
            match key {
                "code" => self.parts.error_code = value,
                "message" => message = value,
                _ => {}
            }
            Ok(())
        })?;
        let code = scan.slice(self.parts.error_code);
        if !is_integer(code) || !scan.slice(message).starts_with('"') {
            scan.note(InvalidRequest, at, what);
        }
        Ok(())
    }
}

/// A question to the client, whose keys mean what they mean in a request of its own.
fn read_question(scan: &mut Scanner<'_>) -> Result<(), Stop> {
    if scan.peek() != b'{' {
        return scan.value().map(|_| ());
    }
    let question = scan.members(|scan, key| {
        scan.refuse_variant(key, QUESTION_KEYS);
        if key != "params" || scan.peek() != b'{' {
            return scan.value().map(|_| ());
        }
        let params = scan.members(|scan, key| {
            scan.refuse_variant(key, PARAMS_KEYS);
            scan.value().map(|_| ())
        });
        params.map(|_| ())
    });
    question.map(|_| ())
}
