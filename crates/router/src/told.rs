//! What the sender of a message is told of an error: enough for an agent to act on, nothing of the policy's internals.

use bytes::Bytes;
use domain::{ErrorKind, Failure, Mode, Reason};
use protocol::{Era, encode};
use serde_json::{Map, Value, json};

use crate::reply::Trace;
use crate::ruling::{Hold, Ruling};

/// An error as its receiver is told of it.
pub(crate) struct Told<'a> {
    kind: ErrorKind,
    code: i32,
    message: &'a str,
    /// Members for `error.data` besides the gateway's own.
    data: Map<String, Value>,
}

impl<'a> Told<'a> {
    /// A failure.
    pub(crate) fn of(failure: &'a Failure) -> Self {
        let Failure { kind, message, data, .. } = failure;
        let data = data.as_deref().and_then(|data| serde_json::from_str(data).ok());
        Self { kind: *kind, code: kind.code(), message, data: data.unwrap_or_default() }
    }

    /// A denial: which rule, what can be done about it, and whether that is worth while. Where the rule stands, and
    /// what rules say that are only watched, is the operator's.
    pub(crate) fn denial(ruling: &'a Ruling, trace: Trace, mode: Mode) -> Self {
        let (kind, decision) = (ruling.kind(), &ruling.decision);
        let denying = || decision.reasons.iter().filter(|reason| reason.denies());
        let reasons: Vec<&str> = denying().map(|reason| reason.message.as_str()).collect();
        let rule = denying().find_map(|reason| reason.rule.as_deref());
        let scopes: Vec<&str> = denying().filter_map(|reason| reason.scope.as_deref()).collect();
        let approval = kind == ErrorKind::ApprovalRequired;
        let mut data = Map::from_iter([
            ("decision_id".to_owned(), json!(trace.decision_id)),
            ("reasons".to_owned(), json!(reasons)),
            ("matched_rule".to_owned(), json!(decision.matched_rule)),
            ("policy_mode".to_owned(), json!(mode.as_str())),
            ("rule".to_owned(), json!(rule.or(decision.matched_rule.as_deref()))),
            ("remedy".to_owned(), json!(remedy(ruling))),
            ("unlock".to_owned(), json!({ "approval": approval, "scopes": scopes })),
        ]);
        match &ruling.hold {
            Some(Hold::Rate(wait)) => {
                let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                data.insert("retry_after_ms".to_owned(), millis.saturating_add(1).into());
            }
            Some(Hold::Approval(name)) => {
                data.insert("approval".to_owned(), json!(name));
            }
            None => {}
        }
        let own = match (kind, reasons.first()) {
            (ErrorKind::PolicyError, _) => "denied: the policy could not be evaluated",
            (_, Some(reason)) => reason,
            (_, None) => "denied by policy",
        };
        let (code, message) = ruling.deny_as().unwrap_or((kind.code(), own));
        Self { kind, code, message, data }
    }

    /// A JSON-RPC error reply: the client's id, the code of the kind, and in `data` what an agent can act on and an
    /// operator can look up.
    pub(crate) fn body(self, id: Option<&str>, era: Era, trace: Trace) -> Bytes {
        let Self { kind, code, message, data: more } = self;
        let mut data = json!({
            "kind": kind.as_str(),
            "request_id": trace.request_id,
            "retryable": kind.retryable(),
            "docs": format!("mcp-proxy explain {kind}"),
        });
        if let Some(members) = data.as_object_mut() {
            members.extend(more);
        }
        let data = data.to_string();
        match (id, era) {
            (None, Era::Modern) => encode::error_without_id(code, message, Some(&data)),
            (id, Era::Modern | Era::Legacy) => encode::error_reply(id, code, message, Some(&data)),
        }
    }

    /// The same as the result of a tool that failed, which a model can read (`policy.deny_as: tool_error`).
    pub(crate) fn tool_error(self, id: &str, era: Era) -> Bytes {
        let member = |name: &str| self.data.get(name).and_then(Value::as_str).unwrap_or_default();
        let (remedy, decision) = (member("remedy"), member("decision_id"));
        let text = format!("{}\n{remedy}\ndecision_id: {decision}", self.message);
        let content = json!([{ "type": "text", "text": text }]);
        let result = match era {
            Era::Legacy => json!({ "content": content, "isError": true }),
            Era::Modern => {
                json!({ "content": content, "isError": true, "resultType": "complete" })
            }
        };
        encode::result_reply(id, &result.to_string())
    }
}

/// What the sender can do: in the policy's words, or else in ours.
fn remedy(ruling: &Ruling) -> String {
    let policy: Option<&Reason> =
        ruling.decision.reasons.iter().find(|reason| reason.denies() && reason.remedy.is_some());
    if let Some(remedy) = policy.and_then(|reason| reason.remedy.clone()) {
        return remedy;
    }
    match &ruling.hold {
        // In full, as a tool result has no `retry_after_ms` beside it.
        Some(Hold::Rate(wait)) => {
            format!("wait {} ms, then send it again", wait.as_millis().saturating_add(1))
        }
        Some(Hold::Approval(name)) => {
            format!("ask a person to run `mcp-proxy approvals grant {name}`, then send it again")
        }
        None if ruling.kind() == ErrorKind::PolicyError => {
            "do not send it again: the operator finds the cause under the `decision_id`".to_owned()
        }
        None => "do not send it again: do without it, or ask the operator to allow it".to_owned(),
    }
}
