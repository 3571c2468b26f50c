//! The members of `params` that decide what a message does, and those of `params._meta` that make
//! it one of the modern era.
//!
//! Where a member stands is noted as it passes; whether it means something depends on the method and
//! on the kind of the message, which may both come later, and is settled at the end.

use super::{Envelope, fault, is_id};
use crate::{
    Kind, Method,
    ParseErrorKind::InvalidParams,
    meta,
    scan::{Fault, Scanner, Span, Stop},
};

const META_TOKEN_RULE: &str =
    "`params._meta.progressToken` must be a string of at most 256 bytes or an integer of 64 bits";
const TOKEN_RULE: &str =
    "`params.progressToken` must be a string of at most 256 bytes or an integer of 64 bits";
const CANCELLED_RULE: &str =
    "`params.requestId` must be a string of at most 256 bytes or an integer of 64 bits";
const NAME_RULE: &str = "`params.name` must be a string that is not empty";
const ARGUMENTS_RULE: &str = "`params.arguments` must be an object";
const URI_RULE: &str = "`params.uri` must be a string that is not empty";
const TASK_RULE: &str = "`params.taskId` must be a string that is not empty";
const NOTIFICATIONS_RULE: &str = "`params.notifications` must be an object";
const RESPONSES_RULE: &str = "`params.inputResponses` must be an object";
const STATE_RULE: &str = "`params.requestState` must be a string";
const VERSION_RULE: &str =
    "`io.modelcontextprotocol/protocolVersion` in `params._meta` must be a string";
const CAPABILITIES_RULE: &str =
    "`io.modelcontextprotocol/clientCapabilities` in `params._meta` must be an object";
const INFO_RULE: &str = "`io.modelcontextprotocol/clientInfo` in `params._meta` must be an object";
const LEVEL_RULE: &str = "`io.modelcontextprotocol/logLevel` in `params._meta` must be a string";

const META_KEYS: &[&str] = &[
    "progressToken",
    meta::PROTOCOL_VERSION,
    meta::CLIENT_INFO,
    meta::CLIENT_CAPABILITIES,
    meta::LOG_LEVEL,
    meta::SERVER_INFO,
    meta::SUBSCRIPTION_ID,
];

/// What `subscriptions/listen` may ask for.
const FILTER_KEYS: &[&str] =
    &["toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions"];

/// Members directly in `params`, of every method and revision.
pub(super) const PARAMS_KEYS: &[&str] = &[
    "_meta",
    "argument",
    "arguments",
    "capabilities",
    "clientInfo",
    "context",
    "cursor",
    "data",
    "elicitationId",
    "inputResponses",
    "level",
    "logger",
    "maxTokens",
    "message",
    "messages",
    "mode",
    "modelPreferences",
    "name",
    "notifications",
    "progress",
    "progressToken",
    "protocolVersion",
    "reason",
    "ref",
    "requestId",
    "requestState",
    "requestedSchema",
    "systemPrompt",
    "task",
    "taskId",
    "toolChoice",
    "tools",
    "total",
    "uri",
    "url",
];

/// Members of `params` that mean something in messages of some methods only.
#[derive(Default)]
pub(super) struct Pending {
    progress_token: Span,
    request_id: Span,
    protocol_version: Span,
    client_info: Span,
    capabilities: Span,
    level: Span,
    request_state: Span,
    meta: Meta,
}

/// Members of `params._meta`.
#[derive(Default)]
struct Meta {
    version: Span,
    client_info: Span,
    capabilities: Span,
    log_level: Span,
    subscription_id: Span,
}

impl Envelope {
    pub(super) fn param(&mut self, scan: &mut Scanner<'_>, key: &str) -> Result<(), Stop> {
        let place = match key {
            "name" => &mut self.parts.name,
            "arguments" => &mut self.parts.arguments,
            "_meta" => return self.read_meta(scan),
            "uri" => &mut self.parts.uri,
            "progressToken" => &mut self.pending.progress_token,
            "requestId" => &mut self.pending.request_id,
            "protocolVersion" => &mut self.pending.protocol_version,
            "clientInfo" => &mut self.pending.client_info,
            "capabilities" => &mut self.pending.capabilities,
            "level" => &mut self.pending.level,
            "inputResponses" => &mut self.parts.input_responses,
            "requestState" => &mut self.pending.request_state,
            "task" => &mut self.parts.task,
            "taskId" => &mut self.parts.task_id,
            "notifications" if scan.peek() == b'{' => {
                self.parts.notifications = scan.members(|scan, key| {
                    scan.refuse_variant(key, FILTER_KEYS);
                    scan.value().map(|_| ())
                })?;
                return Ok(());
            }
            "notifications" => &mut self.parts.notifications,
            _ => {
                scan.refuse_variant(key, PARAMS_KEYS);
                return scan.value().map(|_| ());
            }
        };
        *place = scan.value()?;
        Ok(())
    }

    fn read_meta(&mut self, scan: &mut Scanner<'_>) -> Result<(), Stop> {
        if scan.peek() != b'{' {
            scan.note(InvalidParams, scan.at(), "`params._meta` must be an object");
            return scan.value().map(|_| ());
        }
        self.parts.meta = scan.members(|scan, key| {
            let place = match key {
                "progressToken" => &mut self.parts.progress_token,
                meta::PROTOCOL_VERSION => &mut self.pending.meta.version,
                meta::CLIENT_INFO => &mut self.pending.meta.client_info,
                meta::CLIENT_CAPABILITIES => &mut self.pending.meta.capabilities,
                meta::LOG_LEVEL => &mut self.pending.meta.log_level,
                meta::SUBSCRIPTION_ID => &mut self.pending.meta.subscription_id,
                _ => {
                    scan.refuse_variant(key, META_KEYS);
                    return scan.value().map(|_| ());
                }
            };
            let at = scan.at();
            *place = scan.value()?;
            if key == "progressToken" && !is_id(scan.slice(*place)) {
                scan.note(InvalidParams, at, META_TOKEN_RULE);
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Whether `params` fit the method, and what they mean in a message of it.
    pub(super) fn settle_params(&mut self, kind: Kind, text: &str) -> Result<(), Fault> {
        let Some(method) = self.method else { return Ok(()) };
        let (parts, pending) = (&mut self.parts, &self.pending);
        parts.request_state = pending.request_state;
        parts.subscription_id = pending.meta.subscription_id;
        if matches!(method, Method::ToolsCall | Method::PromptsGet) {
            check_string(parts.name, text, NAME_RULE)?;
            check_object(parts.arguments, text, ARGUMENTS_RULE)?;
        }
        // In a stateless message the other two are no methods, and the server is to say so.
        let modern = !pending.meta.version.is_absent();
        if method == Method::ResourcesRead
            || (!modern
                && matches!(method, Method::ResourcesSubscribe | Method::ResourcesUnsubscribe))
        {
            check_string(parts.uri, text, URI_RULE)?;
        }
        if matches!(
            method,
            Method::TasksGet | Method::TasksResult | Method::TasksCancel | Method::TasksUpdate
        ) {
            check_string(parts.task_id, text, TASK_RULE)?;
        }
        if method == Method::SubscriptionsListen {
            check_object(parts.notifications, text, NOTIFICATIONS_RULE)?;
        }
        if method == Method::Progress {
            parts.progress_token = pending.progress_token;
            check(pending.progress_token, text, TOKEN_RULE, is_id)?;
        }
        if method == Method::Cancelled {
            parts.cancelled_id = pending.request_id;
            check(pending.request_id, text, CANCELLED_RULE, is_id)?;
        }
        if method == Method::Initialize {
            parts.protocol_version = pending.protocol_version;
            parts.client_info = pending.client_info;
            parts.client_capabilities = pending.capabilities;
        }
        if method == Method::SetLevel {
            parts.log_level = pending.level;
        }
        if modern { self.settle_modern(kind, text) } else { Ok(()) }
    }

    /// What a message must say that names its revision itself (2026-07-28, "Base Protocol").
    fn settle_modern(&mut self, kind: Kind, text: &str) -> Result<(), Fault> {
        let (parts, meta) = (&mut self.parts, &self.pending.meta);
        check(meta.version, text, VERSION_RULE, |token| token.starts_with('"'))?;
        if kind == Kind::Request && meta.capabilities.is_absent() {
            return Err(fault(InvalidParams, CAPABILITIES_RULE));
        }
        check_object(meta.capabilities, text, CAPABILITIES_RULE)?;
        check_object(meta.client_info, text, INFO_RULE)?;
        check(meta.log_level, text, LEVEL_RULE, |token| token.starts_with('"'))?;
        check_object(parts.input_responses, text, RESPONSES_RULE)?;
        check(parts.request_state, text, STATE_RULE, |token| token.starts_with('"'))?;
        parts.envelope_version = meta.version;
        parts.client_info = parts.client_info.or(meta.client_info);
        parts.client_capabilities = parts.client_capabilities.or(meta.capabilities);
        parts.log_level = parts.log_level.or(meta.log_level);
        Ok(())
    }
}

/// A member that must be there, and be a string that says something.
fn check_string(span: Span, text: &str, what: &'static str) -> Result<(), Fault> {
    check(span, text, what, |token| token.starts_with('"') && token.len() > 2)?;
    if span.is_absent() { Err(fault(InvalidParams, what)) } else { Ok(()) }
}

fn check_object(span: Span, text: &str, what: &'static str) -> Result<(), Fault> {
    check(span, text, what, |token| token.starts_with('{'))
}

/// Nothing wrong with a member that is absent.
fn check(
    span: Span,
    text: &str,
    what: &'static str,
    fits: impl FnOnce(&str) -> bool,
) -> Result<(), Fault> {
    if span.of(text).is_none_or(fits) {
        return Ok(());
    }
    Err(Fault { kind: InvalidParams, offset: Some(span.start as usize), what: what.into() })
}
