//! The fields of `input`, as a closed set.
//!
//! The read set of a rule is a set of these fields. Every evaluation sees the input projected on the read set and
//! nothing else, so a decision is a function of those fields whatever the analysis missed: that is what makes the
//! decision cache sound. A path that is not in the table is undefined in every input.

macro_rules! fields {
    ($($(#[$doc:meta])+ $name:ident = $($part:literal).+;)+) => {
        /// One field of `input`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Field { $($(#[$doc])+ $name,)+ }

        impl Field {
            /// Every field with its path below `input`; members of one object follow each other.
            pub(crate) const ALL: &'static [(Self, &'static [&'static str])] =
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
    /// The agent, whole.
    Agent = "agent";
    /// The identity, whole.
    Identity = "identity";
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
    SessionClient = "session"."client";
    /// The server's name.
    ServerName = "server"."name";
    /// How the server is reached.
    ServerTransport = "server"."transport";
    /// The server's address.
    ServerUrl = "server"."url";
    /// What the server says of the tool, at stage list.
    ServerTool = "server"."tool";
    /// The time.
    ContextTimestamp = "context"."timestamp";
    /// The client's address.
    ContextSourceIp = "context"."source_ip";
    /// The configured environment.
    ContextEnvironment = "context"."environment";
    /// How the message came in.
    ContextTransport = "context"."transport";
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(u64);

impl Fields {
    /// No field.
    pub(crate) const NONE: Self = Self(0);
    /// Every field.
    pub(crate) const ALL: Self = Self(u64::MAX);

    /// The set of one field.
    pub(crate) const fn of(field: Field) -> Self {
        Self(1 << field as u64)
    }

    /// The fields that a reference to `path` (below `input`) reads: those above, at, and below it.
    pub(crate) fn at(path: &[String]) -> Self {
        let mut fields = Self::NONE;
        for (field, known) in Field::ALL {
            if path.iter().zip(*known).all(|(read, part)| read == part) {
                fields = fields | Self::of(*field);
            }
        }
        fields
    }

    pub(crate) const fn contains(self, field: Field) -> bool {
        self.0 & Self::of(field).0 != 0
    }

    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Fields that differ between any two messages, so that a decision on them is not worth keeping.
    pub(crate) fn volatile() -> Self {
        Self::of(Field::SessionCount)
            | Self::of(Field::ContextTimestamp)
            | Self::of(Field::RequestId)
    }

    /// Fields that only an answer has, or that differ between a request and its answer.
    pub(crate) fn of_answers() -> Self {
        Self::of(Field::Result) | Self::of(Field::Stage) | Self::of(Field::Findings)
    }

    /// Fields that hold JSON of a shape which the client or the server chooses.
    pub(crate) fn untyped() -> Self {
        [
            Field::Arguments,
            Field::RequestArguments,
            Field::RequestParams,
            Field::RequestId,
            Field::ServerTool,
        ]
        .into_iter()
        .fold(Self::of(Field::Result), |fields, field| fields | Self::of(field))
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
