//! The methods of every revision, as a closed set: what is not in it is `Other`, and still goes
//! through policy.

use std::fmt;

macro_rules! methods {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal,)+) => {
        /// A method of MCP, of whichever revision; closed, so that it can label a metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $($(#[$doc])+ $variant,)+
            /// Any name that no revision defines.
            Other,
        }

        impl Method {
            /// Every method, `Other` last.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+ Self::Other];

            /// The method that `name` names exactly; no folding, no trimming.
            #[must_use]
            pub fn from_name(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)+
                    _ => Self::Other,
                }
            }

            /// The name on the wire; `other` for [`Method::Other`], which makes it a bounded metric
            /// label.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Other => "other",
                }
            }
        }
    };
}

// In order of how often they are seen: `from_name` compares from the top.
methods! {
    /// Calls a tool.
    ToolsCall = "tools/call",
    /// Progress of a request in flight.
    Progress = "notifications/progress",
    /// Asks whether the other side lives.
    Ping = "ping",
    /// Lists tools.
    ToolsList = "tools/list",
    /// Reads a resource.
    ResourcesRead = "resources/read",
    /// Renders a prompt.
    PromptsGet = "prompts/get",
    /// Opens a session (removed in 2026-07-28).
    Initialize = "initialize",
    /// Ends the opening of a session.
    Initialized = "notifications/initialized",
    /// Gives up a request in flight.
    Cancelled = "notifications/cancelled",
    /// A log line of the server.
    LogMessage = "notifications/message",
    /// Lists resources.
    ResourcesList = "resources/list",
    /// Lists resource templates.
    ResourcesTemplatesList = "resources/templates/list",
    /// Asks for updates of a resource.
    ResourcesSubscribe = "resources/subscribe",
    /// Ends updates of a resource.
    ResourcesUnsubscribe = "resources/unsubscribe",
    /// A subscribed resource changed.
    ResourceUpdated = "notifications/resources/updated",
    /// The list of resources changed.
    ResourcesListChanged = "notifications/resources/list_changed",
    /// Lists prompts.
    PromptsList = "prompts/list",
    /// The list of prompts changed.
    PromptsListChanged = "notifications/prompts/list_changed",
    /// The list of tools changed.
    ToolsListChanged = "notifications/tools/list_changed",
    /// Completes an argument of a prompt or a resource template.
    Complete = "completion/complete",
    /// Sets the level of log notifications.
    SetLevel = "logging/setLevel",
    /// The server asks the client for a completion of its model.
    SamplingCreateMessage = "sampling/createMessage",
    /// The server asks the client's user.
    ElicitationCreate = "elicitation/create",
    /// An elicitation by URL came to its end.
    ElicitationComplete = "notifications/elicitation/complete",
    /// The server asks for the client's roots.
    RootsList = "roots/list",
    /// The client's roots changed.
    RootsListChanged = "notifications/roots/list_changed",
    /// State of a task.
    TasksGet = "tasks/get",
    /// Lists tasks (2025-11-25).
    TasksList = "tasks/list",
    /// Waits for the result of a task (2025-11-25).
    TasksResult = "tasks/result",
    /// Cancels a task.
    TasksCancel = "tasks/cancel",
    /// Gives a task the input that it waits for (2026-07-28).
    TasksUpdate = "tasks/update",
    /// The state of a task changed (2025-11-25).
    TaskStatus = "notifications/tasks/status",
    /// The state of a task changed (2026-07-28).
    TaskChanged = "notifications/tasks",
    /// What the server is and can do (2026-07-28).
    ServerDiscover = "server/discover",
    /// Opens a stream of notifications (2026-07-28).
    SubscriptionsListen = "subscriptions/listen",
    /// Confirms such a stream.
    SubscriptionsAcknowledged = "notifications/subscriptions/acknowledged",
}

impl Method {
    /// What the result of this method lists; `None` when it is not one of the filtered lists.
    #[must_use]
    pub fn list(self) -> Option<ListKind> {
        ListKind::ALL.into_iter().find(|kind| kind.method() == self)
    }

    /// Whether the result may be that input of the client is required (2026-07-28, "Multi Round-Trip
    /// Requests").
    #[must_use]
    pub fn may_require_input(self) -> bool {
        matches!(self, Self::ToolsCall | Self::PromptsGet | Self::ResourcesRead)
    }

    /// Whether complete results carry `ttlMs` and `cacheScope` (2026-07-28, "Caching").
    #[must_use]
    pub fn is_cacheable(self) -> bool {
        self.list().is_some() || matches!(self, Self::ServerDiscover | Self::ResourcesRead)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a list answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// `tools/list`.
    Tools,
    /// `resources/list`.
    Resources,
    /// `resources/templates/list`.
    ResourceTemplates,
    /// `prompts/list`.
    Prompts,
}

impl ListKind {
    /// Every kind.
    pub const ALL: [Self; 4] =
        [Self::Tools, Self::Resources, Self::ResourceTemplates, Self::Prompts];

    /// The method that asks for this list.
    #[must_use]
    pub const fn method(self) -> Method {
        match self {
            Self::Tools => Method::ToolsList,
            Self::Resources => Method::ResourcesList,
            Self::ResourceTemplates => Method::ResourcesTemplatesList,
            Self::Prompts => Method::PromptsList,
        }
    }

    /// The member of the result that is the array of entries.
    #[must_use]
    pub const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::ResourceTemplates => "resourceTemplates",
            Self::Prompts => "prompts",
        }
    }

    /// The member of an entry by which it is used.
    #[must_use]
    pub const fn entry_key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::ResourceTemplates => "uriTemplate",
        }
    }

    /// The method that uses an entry: what is not allowed there need not be shown.
    #[must_use]
    pub const fn uses(self) -> Method {
        match self {
            Self::Tools => Method::ToolsCall,
            Self::Resources | Self::ResourceTemplates => Method::ResourcesRead,
            Self::Prompts => Method::PromptsGet,
        }
    }
}

#[cfg(test)]
mod tests;
