//! The fields of `input`, as a closed set: the one place that names the paths of the input.
//!
//! What a rule reads ([`ReadSet`](crate::ReadSet)) is a set of paths at, above or below these fields. A path that is not
//! in the table is undefined in every input.

macro_rules! fields {
    ($($(#[$doc:meta])+ $name:ident = $($part:literal).+;)+) => {
        /// One field of `input`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field { $($(#[$doc])+ $name,)+ }

        impl Field {
            /// Every field with its path below `input`.
            pub const ALL: &'static [(Self, &'static [&'static str])] =
                &[$((Self::$name, &[$($part),+]),)+];
        }
    };
}

fields! {
    /// Where in a message's life the decision falls.
    Stage = "stage";
    /// The method.
    Method = "method";
    /// The tool, when there is one.
    Tool = "tool";
    /// The resource, when there is one.
    Resource = "resource";
    /// The prompt, when there is one.
    Prompt = "prompt";
    /// The arguments, when there are any.
    Arguments = "arguments";
    /// What detectors found.
    Findings = "findings";
    /// The answer, at stage response.
    Result = "result";
    /// The agent's id.
    AgentId = "agent"."id";
    /// The agent's name.
    AgentName = "agent"."name";
    /// What the agent may do.
    AgentCapabilities = "agent"."capabilities";
    /// The agent's model.
    AgentModel = "agent"."model";
    /// Who publishes the agent.
    AgentPublisher = "agent"."publisher";
    /// The agent's tags.
    AgentTags = "agent"."tags";
    /// The agent's roles.
    AgentRoles = "agent"."roles";
    /// Whether the identity is proven.
    IdentityVerified = "identity"."verified";
    /// How the identity is known.
    IdentityMethod = "identity"."method";
    /// The decentralised identifier.
    IdentityDid = "identity"."did";
    /// The request's id.
    RequestId = "request"."id";
    /// The method again.
    RequestMethod = "request"."method";
    /// The tool again.
    RequestTool = "request"."tool";
    /// The resource again.
    RequestResource = "request"."resource";
    /// The prompt again.
    RequestPrompt = "request"."prompt";
    /// The arguments again.
    RequestArguments = "request"."arguments";
    /// The parameters as sent.
    RequestParams = "request"."params";
    /// Bytes of the message.
    RequestSize = "request"."size";
    /// Public name of the session.
    SessionId = "session"."id";
    /// Messages so far.
    SessionCount = "session"."request_count";
    /// When the session began.
    SessionStarted = "session"."started_at";
    /// Negotiated revision.
    SessionVersion = "session"."protocol_version";
    /// What the client calls itself.
    ClientName = "session"."client"."name";
    /// Which version the client says that it is.
    ClientVersion = "session"."client"."version";
    /// Calls that read.
    SessionReads = "session"."cumulative_reads";
    /// Calls that write.
    SessionWrites = "session"."cumulative_writes";
    /// How often each tool was called.
    SessionTools = "session"."tools_used";
    /// The taints of the session.
    SessionTaints = "session"."taints";
    /// Bytes that left for the server.
    SessionBytes = "session"."bytes_out";
    /// The server's name.
    ServerName = "server"."name";
    /// How the server is reached.
    ServerTransport = "server"."transport";
    /// The server's address.
    ServerUrl = "server"."url";
    /// What the server says that the tool does.
    ToolDescription = "server"."tool"."description";
    /// What the server says of the tool besides.
    ToolAnnotations = "server"."tool"."annotations";
    /// The digest of the tool's definition.
    ToolDigest = "server"."tool"."digest";
    /// Whether the tool was seen with another definition.
    ToolChanged = "server"."tool"."changed";
    /// The time.
    ContextTimestamp = "context"."timestamp";
    /// The client's address.
    ContextSourceIp = "context"."source_ip";
    /// The configured environment.
    ContextEnvironment = "context"."environment";
    /// How the message came in.
    ContextTransport = "context"."transport";
    /// The client's HTTP headers that the configuration names.
    ContextHeaders = "context"."headers";
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields(u64);

impl Fields {
    /// No field.
    pub const NONE: Self = Self(0);

    /// The set of one field.
    #[must_use]
    pub const fn of(field: Field) -> Self {
        Self(1 << field as u64)
    }

    const fn list(fields: &[Field]) -> Self {
        let mut all = 0;
        let mut rest = fields;
        while let [field, others @ ..] = rest {
            all |= Self::of(*field).0;
            rest = others;
        }
        Self(all)
    }

    /// The fields that a reference to `path` (below `input`) reads: those above, at, and below it.
    #[must_use]
    pub fn at<T: AsRef<str>>(path: &[T]) -> Self {
        let mut fields = Self::NONE;
        for (field, known) in Field::ALL {
            if path.iter().zip(*known).all(|(read, part)| read.as_ref() == *part) {
                fields = fields | Self::of(*field);
            }
        }
        fields
    }

    /// Whether the set has the field.
    #[must_use]
    pub const fn contains(self, field: Field) -> bool {
        self.0 & Self::of(field).0 != 0
    }

    /// Whether the sets have a field in common.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Fields that differ between any two messages, so that a decision on them is not worth keeping.
    #[must_use]
    pub const fn volatile() -> Self {
        Self::list(&[
            Field::SessionCount,
            Field::SessionReads,
            Field::SessionWrites,
            Field::SessionTools,
            Field::SessionBytes,
            Field::ContextTimestamp,
            Field::RequestId,
        ])
    }

    /// Fields that only an answer has, or that differ between a request and its answer.
    #[must_use]
    pub const fn of_answers() -> Self {
        Self::list(&[Field::Result, Field::Stage, Field::Findings])
    }

    /// What the session has done so far, apart from the number of its messages.
    #[must_use]
    pub const fn state() -> Self {
        Self::list(&[
            Field::SessionReads,
            Field::SessionWrites,
            Field::SessionTools,
            Field::SessionTaints,
            Field::SessionBytes,
        ])
    }

    /// Fields that hold JSON of a shape which the client or the server chooses.
    #[must_use]
    pub const fn untyped() -> Self {
        Self::list(&[
            Field::Arguments,
            Field::RequestArguments,
            Field::RequestParams,
            Field::RequestId,
            Field::ToolAnnotations,
            Field::Result,
        ])
    }

    /// Fields that are objects with members of any name: a rule that reads one member reads no other.
    #[must_use]
    pub const fn open() -> Self {
        Self::list(&[
            Field::Arguments,
            Field::RequestArguments,
            Field::RequestParams,
            Field::Result,
            Field::SessionTools,
            Field::ToolAnnotations,
            Field::ContextHeaders,
        ])
    }
}

impl std::ops::BitOr for Fields {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests;
