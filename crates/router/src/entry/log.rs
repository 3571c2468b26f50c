//! The operator's log, beside the audit log.

use domain::{AuditEvent, ErrorKind, Origin, Outcome, RuleMode, SessionId};

/// Tells the operator, who need not have an audit log. Clients can make mistakes in any number, so
/// these are kept low; a policy that fails is said aloud also where it stops nothing.
pub(super) fn say(kind: Option<ErrorKind>, event: &AuditEvent) {
    let AuditEvent { request_id, decision_id, method, tool, error, .. } = event;
    let session_id = event.session_id.as_ref().map(SessionId::as_str);
    let (agent_id, matched_rule) = (&*event.agent.id, event.matched_rule.as_deref());
    let reason =
        event.reasons.iter().find(|reason| reason.denies()).map(|reason| reason.message.as_str());
    let error = error.as_deref();
    for watched in event.reasons.iter().filter(|reason| reason.mode == RuleMode::Warn) {
        let (rule, would_say) = (watched.rule.as_deref(), &*watched.message);
        tracing::warn!(
            %request_id, %decision_id, session_id, agent_id, %method, tool, rule, would_say,
            "a watched rule would deny the message"
        );
    }
    let undecided = event.decision == Outcome::Error && event.policy_revision.is_some();
    // Nothing but policy leaves an error on a message that succeeded.
    let policy_failed = undecided || (kind.is_none() && error.is_some());
    match kind.map(|kind| (kind, kind.origin())) {
        kind if policy_failed => {
            let kind = kind.map(|(kind, _)| kind.as_str());
            tracing::warn!(
                %request_id, %decision_id, session_id, agent_id, %method, tool, matched_rule, kind,
                error, "policy could not be evaluated"
            );
        }
        None => {}
        Some((
            kind @ (ErrorKind::PolicyDenied | ErrorKind::RateLimited | ErrorKind::ApprovalRequired),
            _,
        )) => tracing::info!(
            %request_id, %decision_id, session_id, agent_id, %method, tool, matched_rule, reason,
            %kind, "message denied"
        ),
        Some((kind, Origin::Downstream)) => {
            tracing::debug!(%request_id, %method, tool, %kind, error, "message failed");
        }
        Some((kind, Origin::Upstream | Origin::Internal)) => {
            tracing::warn!(%request_id, %method, tool, %kind, error, "message failed");
        }
    }
}
