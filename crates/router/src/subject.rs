//! What policy is asked about: a message seen with its session, server and sender.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use domain::{ContextView, PolicyInput, ServerView, SessionState, SessionView, Stage};
use protocol::{ListEntry, ListKind, Message, Method, ProtocolVersion};

use crate::catalogue::Listed;
use crate::envelope;
use crate::handle::Arrival;
use crate::{Caller, Router};

/// A message with everything around it that policy may look at.
pub(crate) struct Subject<'a> {
    router: &'a Router,
    arrival: &'a Arrival,
    method: Cow<'a, str>,
    name: Option<Cow<'a, str>>,
    uri: Option<Cow<'a, str>>,
    /// What the session has done so far, if a rule reads it.
    state: Arc<SessionState>,
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
            state: arrival
                .tally
                .as_ref()
                .map_or_else(|| Arc::clone(&router.blank), |it| it.state()),
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
            server: ServerView {
                tool: self
                    .arrival
                    .tool
                    .as_deref()
                    .map(|it| &it.view)
                    .filter(|_| stage == Stage::Request),
                ..self.router.ports.upstream.view()
            },
            context: context(self.router, &self.arrival.caller, self.arrival.at),
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
            server: self.router.ports.upstream.view(),
            ..self.input(stage)
        }
    }

    /// The input for one entry of a list answer: the question is whether using it would be allowed.
    pub(crate) fn entry_input<'b>(
        &'b self,
        kind: ListKind,
        entry: &'b ListEntry<'_>,
        listed: Option<&'b Listed>,
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
                tool: listed.map(|it| &it.view),
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
            state: &self.state,
        }
    }
}

/// `input.context` of a message that came at that time.
pub(crate) fn context<'a>(
    router: &'a Router,
    caller: &'a Caller,
    at: SystemTime,
) -> ContextView<'a> {
    ContextView {
        timestamp: at,
        source_ip: caller.source_ip,
        environment: &router.options.environment,
        transport: caller.transport,
        headers: caller.headers.as_deref().unwrap_or_default(),
    }
}
