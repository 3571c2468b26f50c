//! What policy is asked about: a message seen with its session, server and sender.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use domain::{
    ContextView, Decision, PolicyInput, Revision, ServerView, SessionView, Stage, Verdict,
};
use protocol::{ListEntry, ListKind, Message, Method, ProtocolVersion};

use crate::Router;
use crate::entry::Entry;
use crate::envelope;
use crate::handle::Arrival;

/// A message with everything around it that policy may look at.
pub(crate) struct Subject<'a> {
    router: &'a Router,
    arrival: &'a Arrival,
    method: Cow<'a, str>,
    name: Option<Cow<'a, str>>,
    uri: Option<Cow<'a, str>>,
}

impl<'a> Subject<'a> {
    pub(crate) fn of(router: &'a Router, arrival: &'a Arrival) -> Self {
        let message = &arrival.message;
        Self {
            router,
            arrival,
            method: message.method_name(),
            name: message.name(),
            uri: message.uri(),
        }
    }

    /// The message.
    pub(crate) fn arrival(&self) -> &'a Arrival {
        self.arrival
    }

    /// The same for an answer, which is judged as its question.
    pub(crate) fn answering(self, method: &'a str) -> Self {
        Self { method: method.into(), ..self }
    }

    /// The input for the message itself.
    pub(crate) fn input(&self, stage: Stage) -> PolicyInput<'_> {
        let Arrival { message, session, .. } = self.arrival;
        let is = |method| message.method() == Some(method);
        let name = self.name.as_deref();
        PolicyInput {
            stage,
            method: &self.method,
            id: message.id(),
            tool: if is(Method::ToolsCall) { name } else { None },
            resource: self.uri.as_deref(),
            prompt: if is(Method::PromptsGet) { name } else { None },
            arguments: message.arguments(),
            params: message.params(),
            size: message.bytes().len(),
            result: None,
            agent: session.agent(),
            identity: session.identity(),
            session: self.session_view(),
            server: self.router.ports.upstream.view(),
            context: self.context(),
        }
    }

    /// The input for an answer to the message.
    pub(crate) fn response_input<'b>(&'b self, response: &'b Message) -> PolicyInput<'b> {
        let result = response.result().or_else(|| response.error());
        PolicyInput { result, ..self.input(Stage::Response) }
    }

    /// The input for what travels inside the message but is a message of its own in other revisions;
    /// what it says is still to be filled in.
    pub(crate) fn companion_input<'b>(&'b self, stage: Stage, method: &'b str) -> PolicyInput<'b> {
        PolicyInput {
            method,
            id: None,
            tool: None,
            resource: None,
            prompt: None,
            arguments: None,
            params: None,
            ..self.input(stage)
        }
    }

    /// The input for one entry of a list answer: the question is whether using it would be allowed.
    pub(crate) fn entry_input<'b>(
        &'b self,
        kind: ListKind,
        entry: &'b ListEntry<'_>,
    ) -> PolicyInput<'b> {
        let key = Some(&*entry.key);
        let (tool, resource, prompt) = match kind {
            ListKind::Tools => (key, None, None),
            ListKind::Resources | ListKind::ResourceTemplates => (None, key, None),
            ListKind::Prompts => (None, None, key),
        };
        PolicyInput {
            tool,
            resource,
            prompt,
            size: entry.raw.len(),
            server: ServerView {
                tool_description: entry.description.as_deref(),
                tool_annotations: entry.annotations,
                ..self.router.ports.upstream.view()
            },
            ..self.companion_input(Stage::List, kind.uses().as_str())
        }
    }

    fn session_view(&self) -> SessionView<'_> {
        let Arrival { message, session, client, request_count, .. } = self.arrival;
        let client = client.as_deref().or_else(|| session.client());
        let lasts = !session.is_stateless();
        let version = envelope::spoken(message).or_else(|| session.negotiated());
        SessionView {
            id: lasts.then(|| session.id().as_str()),
            request_count: lasts.then_some(*request_count),
            started_at: lasts.then(|| session.started_at()),
            protocol_version: version.map(ProtocolVersion::as_str),
            client_name: client.map(|client| &*client.name),
            client_version: client.map(|client| &*client.version),
        }
    }

    fn context(&self) -> ContextView<'_> {
        let caller = &self.arrival.caller;
        ContextView {
            timestamp: self.arrival.at,
            source_ip: caller.source_ip,
            environment: &self.router.options.environment,
            transport: caller.transport,
        }
    }
}

impl Router {
    /// Asks policy. Every decision of the gateway, at every stage, is made here. A policy that
    /// panics has not allowed anything.
    pub(crate) fn decide(&self, input: &PolicyInput<'_>, entry: &mut Entry) -> Decision {
        let decide = || self.ports.policy.decide(input);
        let decision = catch_unwind(AssertUnwindSafe(decide)).unwrap_or_else(|_| Decision {
            verdict: Verdict::Deny,
            reasons: Arc::default(),
            matched_rule: None,
            obligations: None,
            error: Some("the evaluation of the policy panicked".into()),
            revision: Revision("unknown".into()),
            cached: false,
            elapsed: Duration::ZERO,
        });
        entry.decided(input.stage, &decision);
        self.ports.metrics.decided(&decision, self.options.mode, input.stage);
        decision
    }
}
