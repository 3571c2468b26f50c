//! Carries out what a decision asks for besides its verdict; the only place that does.
//!
//! What may stop a message is looked at first: rate limits, headers that the way to the server does not have, an
//! approval. Then it is settled whether the message passes, and what is left of it. In audit mode nothing is changed or
//! held, and what would have stopped the message is recorded as the denial that it would have been: limits are counted,
//! and people asked (without waiting for them), as in enforce mode. Alerts, lines in the log and taints on the session
//! are made in both modes, of denied messages too.

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use domain::{
    Approval, ApprovalRequest, Decision, ErrorKind, Failure, Mode, Obligation, PolicyInput,
    RateKey, RateLimit, Stage, Verdict,
};
use observability::ApprovalAnswer;
use protocol::{Message, encode, mirror, object};
use serde_json::Value;
use session::Session;

use crate::Router;
use crate::entry::Entry;
use crate::pointer;
use crate::reply::Trace;
use crate::ruling::{Hold, Obstacle, Ruling, decide};

impl Router {
    /// Carries out the obligations of a decision.
    pub(crate) async fn carry_out(
        &self,
        input: &PolicyInput<'_>,
        decision: Decision,
        session: Option<&Session>,
        entry: &mut Entry,
    ) -> Ruling {
        let mut ruling = Ruling::new(decision, entry.mode());
        let obligations = ruling.decision.obligations.clone();
        self.tell(input, &obligations, entry.trace());
        let mut fulfilled = taint(&obligations, session).map(|()| None);
        if ruling.decision.verdict == Verdict::Allow && fulfilled.is_ok() {
            fulfilled = self.fulfil(input, &obligations, entry).await;
        }
        match fulfilled {
            Ok(edited) => ruling.edited = edited.filter(|_| ruling.mode == Mode::Enforce),
            Err(obstacle) => ruling.overrule(obstacle),
        }
        ruling
    }

    /// Raises alerts and writes lines.
    fn tell(&self, input: &PolicyInput<'_>, obligations: &[Obligation], trace: Trace) {
        let Trace { request_id, decision_id } = trace;
        let (agent_id, method, tool) = (&*input.agent.id, input.method, input.tool);
        let stage = input.stage.as_str();
        macro_rules! line {
            ($level:ident, $text:literal $(, $field:ident)*) => {
                tracing::$level!(%request_id, %decision_id, agent_id, stage, method, tool, $($field,)* $text)
            };
        }
        for obligation in obligations {
            if let Obligation::Alert { severity, .. } = obligation {
                self.ports.metrics.acts().alerted(severity);
                let severity = &**severity;
                line!(warn, "policy raised an alert", severity);
            }
            if let Obligation::Log { level } = obligation {
                match &**level {
                    "error" => line!(error, "policy asks for this line"),
                    "warn" => line!(warn, "policy asks for this line"),
                    "info" => line!(info, "policy asks for this line"),
                    _ => line!(debug, "policy asks for this line"),
                }
            }
        }
    }

    /// Fulfils what an allowed message has to; gives what of it is changed.
    async fn fulfil(
        &self,
        input: &PolicyInput<'_>,
        obligations: &[Obligation],
        entry: &mut Entry,
    ) -> Result<Option<String>, Obstacle> {
        let edited = edited(input, obligations)?;
        let headers = obligations.iter().any(|it| matches!(it, Obligation::SetHeader { .. }));
        if headers && !matches!(input.server.transport, "http" | "sse") {
            let transport = input.server.transport;
            let text =
                format!("obligation `set_header`: messages have no headers over {transport}");
            return Err(Obstacle::Failed(text));
        }
        self.count(input, obligations)?;
        if let Some(message) = approval(obligations) {
            self.ask(input, message.as_deref(), entry).await?;
        }
        Ok(edited)
    }

    /// Counts a message under its rate limits, if all of them let it pass.
    fn count(&self, input: &PolicyInput<'_>, obligations: &[Obligation]) -> Result<(), Obstacle> {
        let mut counted: Vec<(&RateLimit, Vec<Cow<'_, str>>)> = Vec::new();
        for obligation in obligations {
            if let Obligation::RateLimit(limit) = obligation {
                let values = limit.key.iter().map(|key| counted_by(input, *key));
                counted.push((limit, values.collect()));
            }
        }
        let texts: Vec<Vec<&str>> =
            counted.iter().map(|(_, values)| values.iter().map(|it| &**it).collect()).collect();
        let limits: Vec<(&RateLimit, &[&str])> =
            counted.iter().zip(&texts).map(|((limit, _), texts)| (*limit, &**texts)).collect();
        if limits.is_empty() {
            return Ok(());
        }
        let now = self.ports.clock.monotonic();
        self.ports.limiter.check_all(&limits, now).map_err(|wait| {
            self.ports.metrics.acts().rate_limited();
            Obstacle::Hold(Hold::Rate(wait.0), "too many of these in a short time".to_owned())
        })
    }

    /// Asks for the approval that a message needs.
    async fn ask(
        &self,
        input: &PolicyInput<'_>,
        message: Option<&str>,
        entry: &mut Entry,
    ) -> Result<(), Obstacle> {
        let Some(approvals) = &self.ports.approvals else {
            let text = "obligation `require_approval`: this gateway keeps no approvals";
            return Err(Obstacle::Failed(text.to_owned()));
        };
        let wait = match entry.mode() {
            Mode::Enforce => self.options.approval_wait,
            Mode::Audit => Duration::ZERO,
        };
        let answer = approvals.ask(ApprovalRequest {
            decision_id: entry.trace().decision_id,
            agent_id: (*input.agent.id).into(),
            server: input.server.name.into(),
            method: input.method.into(),
            tool: input.tool.map(Box::from),
            target: input.resource.or(input.prompt).map(Box::from),
            definition: input.server.tool.map(|tool| (*tool.digest).into()),
            arguments: asked_about(input).map(|it| (*it).into()),
            message: message.map(Box::from),
            wait,
        });
        let (answered, name, result) = match answer.await {
            Ok(Approval::Granted(name)) => (ApprovalAnswer::Granted, name, Ok(())),
            Ok(Approval::Denied(name)) => (ApprovalAnswer::Denied, name, Err(Obstacle::Refused)),
            Ok(Approval::Pending(name)) => {
                let text = message.unwrap_or("a person has to grant this first").to_owned();
                let hold = Hold::Approval(name.clone());
                (ApprovalAnswer::Pending, name, Err(Obstacle::Hold(hold, text)))
            }
            Err(failure) => {
                self.ports.metrics.acts().asked_for_approval(ApprovalAnswer::Failed);
                let text = format!("obligation `require_approval`: {}", failure.detail);
                return Err(Obstacle::Failed(text));
            }
        };
        self.ports.metrics.acts().asked_for_approval(answered);
        entry.approved(name);
        result?;
        if wait.is_zero() {
            return Ok(());
        }
        // The gateway may have been locked down meanwhile: what a person grants does not outlast that.
        let now = decide(&*self.ports.policy.current(), input);
        match now.verdict {
            Verdict::Allow => Ok(()),
            Verdict::Deny => Err(Obstacle::Overtaken(Box::new(now))),
        }
    }
}

/// What a person is to be told before they grant the message; `None` when it needs nobody. Several rules that want an
/// approval want the same one: a grant for one message would never do for two questions.
fn approval(obligations: &[Obligation]) -> Option<Option<String>> {
    let mut needed = None;
    for obligation in obligations {
        let Obligation::RequireApproval { message } = obligation else { continue };
        let told: &mut Option<String> = needed.get_or_insert_default();
        match (told, message) {
            (_, None) => {}
            (Some(told), Some(message)) => {
                told.push_str("; ");
                told.push_str(message);
            }
            (told @ None, Some(message)) => *told = Some(message.to_string()),
        }
    }
    needed
}

/// Taints the session.
fn taint(obligations: &[Obligation], session: Option<&Session>) -> Result<(), Obstacle> {
    for obligation in obligations {
        let Obligation::Taint { label } = obligation else { continue };
        let Some(session) = session else {
            let text = "obligation `taint`: there is no session yet";
            return Err(Obstacle::Failed(text.to_owned()));
        };
        session.tally().taint(label).map_err(|failure| Obstacle::Failed(failure.detail))?;
    }
    Ok(())
}

/// What of a message a person is asked about, besides its method and name: the arguments, or all parameters where the
/// method has no arguments (or none that the gateway knows).
fn asked_about<'a>(input: &PolicyInput<'a>) -> Option<Cow<'a, str>> {
    match input.method {
        "tools/call" | "prompts/get" => input.arguments.map(Cow::Borrowed),
        _ => input.params.map(|params| object::edit(params, &[("_meta", None)]).into()),
    }
}

/// What a message is counted by. Stateless clients of one agent are counted as one session.
fn counted_by<'a>(input: &PolicyInput<'a>, key: RateKey) -> Cow<'a, str> {
    match key {
        RateKey::Session => input.session.id.unwrap_or(&input.agent.id).into(),
        RateKey::Agent => (*input.agent.id).into(),
        RateKey::Identity => (*input.identity.did).into(),
        RateKey::Tool => input.tool.unwrap_or_default().into(),
        RateKey::Server => input.server.name.into(),
        RateKey::SourceIp => {
            input.context.source_ip.as_ref().map(IpAddr::to_string).unwrap_or_default().into()
        }
    }
}

/// The arguments, the result or the error of a message without what `redact` and `strip` name; `None` when all stays.
fn edited(input: &PolicyInput<'_>, obligations: &[Obligation]) -> Result<Option<String>, Obstacle> {
    let whole = match input.stage {
        Stage::Request => input.arguments,
        Stage::Response => input.result,
        Stage::List | Stage::ServerRequest | Stage::Connect | Stage::Gateway => None,
    };
    let mut edited: Option<String> = None;
    for obligation in obligations {
        let (action, path, with) = if let Obligation::Redact { path, with } = obligation {
            let mut text = String::with_capacity(with.len() + 2);
            encode::string(&mut text, with);
            ("redact", path, Some(text))
        } else if let Obligation::Strip { path } = obligation {
            ("strip", path, None)
        } else {
            continue;
        };
        let Some(raw) = edited.as_deref().or(whole) else { continue };
        let next = pointer::edit(raw, path, with.as_deref()).map_err(|_| {
            let text = "must begin with `/` and name a part of the arguments or of the result";
            Obstacle::Failed(format!("obligation `{action}`: the path `{path}` {text}"))
        })?;
        edited = next.or(edited);
    }
    Ok(edited)
}

/// The message with another value under a path of member names.
///
/// # Errors
///
/// `PolicyError` when what is left is no message.
pub(crate) fn put(message: &Message, path: &[&str], value: &str) -> Result<Message, Failure> {
    let body = std::str::from_utf8(message.bytes()).unwrap_or_default();
    let parsed = Message::parse(nested(body, path, value).into()).map_err(|error| {
        Failure::new(ErrorKind::PolicyError, "denied: the policy could not be evaluated")
            .detail(format_args!("`redact` or `strip` left no message: {error}"))
    })?;
    let headers = message.param_headers();
    if headers.is_empty() {
        return Ok(parsed);
    }
    let said = scalars(parsed.arguments().unwrap_or_default());
    let true_still = |header: &&mirror::ParamHeader| {
        mirror::decode(&header.value).is_ok_and(|value| said.contains(&*value))
    };
    let headers = headers.iter().filter(true_still).cloned().collect();
    Ok(parsed.with_param_headers(headers))
}

fn nested(raw: &str, path: &[&str], value: &str) -> String {
    match path.split_first() {
        None => value.to_owned(),
        Some((key, rest)) => {
            let inner = nested(object::get(raw, key).unwrap_or_default(), rest, value);
            object::edit(raw, &[(key, Some(&inner))])
        }
    }
}

/// Every string, number and truth value in `raw`, as a header would repeat it.
fn scalars(raw: &str) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut left = vec![serde_json::from_str::<Value>(raw).unwrap_or_default()];
    while let Some(value) = left.pop() {
        match value {
            Value::Null => {}
            Value::String(text) => drop(found.insert(text)),
            Value::Bool(_) | Value::Number(_) => drop(found.insert(value.to_string())),
            Value::Array(items) => left.extend(items),
            Value::Object(members) => left.extend(members.into_iter().map(|(_, item)| item)),
        }
    }
    found
}
