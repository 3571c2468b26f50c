//! What tells the eras apart, and what only some revisions have.

use std::{borrow::Cow, sync::Arc};

use super::Message;
use crate::{Era, ParamHeader};

impl Message {
    /// The era that the message is written in: modern when it carries
    /// [`crate::meta::PROTOCOL_VERSION`], which responses never do.
    #[must_use]
    pub fn era(&self) -> Era {
        if self.parts.envelope_version.is_absent() { Era::Legacy } else { Era::Modern }
    }

    /// The revision that a message of the modern era names in `params._meta`.
    #[must_use]
    pub fn envelope_version(&self) -> Option<Cow<'_, str>> {
        self.string(self.parts.envelope_version)
    }

    /// What the client says about itself, as raw JSON: `params.clientInfo` of `initialize`, and in
    /// the modern era an object in `params._meta` of every request.
    #[must_use]
    pub fn client_info(&self) -> Option<&str> {
        self.parts.client_info.of(&self.text)
    }

    /// What the client can do for the server, as raw JSON: `params.capabilities` of `initialize`,
    /// and in the modern era an object in `params._meta` of every request.
    #[must_use]
    pub fn client_capabilities(&self) -> Option<&str> {
        self.parts.client_capabilities.of(&self.text)
    }

    /// The level from which on the client wants log notifications: `params.level` of
    /// `logging/setLevel`, and in the modern era a member of `params._meta` of any request.
    #[must_use]
    pub fn log_level(&self) -> Option<Cow<'_, str>> {
        self.string(self.parts.log_level)
    }

    /// `params._meta`, an object as raw JSON.
    #[must_use]
    pub fn meta(&self) -> Option<&str> {
        self.parts.meta.of(&self.text)
    }

    /// `params.inputResponses` as raw JSON; an object in the modern era.
    #[must_use]
    pub fn input_responses(&self) -> Option<&str> {
        self.parts.input_responses.of(&self.text)
    }

    /// `params.requestState` of a request, `result.requestState` of a response, as raw JSON; a
    /// string in requests of the modern era.
    #[must_use]
    pub fn request_state(&self) -> Option<&str> {
        self.parts.request_state.of(&self.text)
    }

    /// `params.taskId`, decoded, if it is a string. Never empty for the methods of a single task.
    #[must_use]
    pub fn task_id(&self) -> Option<Cow<'_, str>> {
        self.string(self.parts.task_id)
    }

    /// `params.task` as raw JSON: the wish to have the request run as a task (2025-11-25).
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        self.parts.task.of(&self.text)
    }

    /// `params.notifications` as raw JSON: what `subscriptions/listen` asks for and its
    /// acknowledgement grants; an object in the request.
    #[must_use]
    pub fn notifications(&self) -> Option<&str> {
        self.parts.notifications.of(&self.text)
    }

    /// [`crate::meta::SUBSCRIPTION_ID`] as written, of a notification or of a result.
    #[must_use]
    pub fn subscription_id(&self) -> Option<&str> {
        self.parts.subscription_id.of(&self.text)
    }

    /// `result.resultType`, decoded; a result without it is complete.
    #[must_use]
    pub fn result_type(&self) -> Option<Cow<'_, str>> {
        self.string(self.parts.result_type)
    }

    /// `result.inputRequests` as raw JSON.
    #[must_use]
    pub fn input_requests(&self) -> Option<&str> {
        self.parts.input_requests.of(&self.text)
    }

    /// The `Mcp-Param-*` headers that travel with the message; none unless they were given to
    /// [`Message::with_param_headers`].
    #[must_use]
    pub fn param_headers(&self) -> &[ParamHeader] {
        self.param_headers.as_deref().unwrap_or_default()
    }

    /// The message with these headers instead of those it had.
    #[must_use]
    pub fn with_param_headers(self, headers: Arc<[ParamHeader]>) -> Self {
        Self { param_headers: (!headers.is_empty()).then_some(headers), ..self }
    }
}
