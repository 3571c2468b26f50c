//! The rules that a verdict is read from, and which of them a set declares.

use rego::graph::Graph;

/// What a rule says in the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Everything, in one object.
    Decision,
    /// That the message is denied, and why.
    Deny,
    /// Why the message is denied.
    Violations,
    /// That the message may pass.
    Allow,
    /// That the message may pass where an allow-list is silent.
    Baseline,
    /// What is to be done besides.
    Obligations,
}

impl Role {
    pub(crate) const ALL: [Self; 6] = [
        Self::Decision,
        Self::Deny,
        Self::Violations,
        Self::Allow,
        Self::Baseline,
        Self::Obligations,
    ];
    /// Those that can deny, and so have a mode.
    pub(crate) const DENYING: [Self; 4] =
        [Self::Decision, Self::Deny, Self::Violations, Self::Allow];

    /// The rule, below `data`.
    pub(crate) const fn path(self) -> [&'static str; 3] {
        match self {
            Self::Decision => ["mcp", "policy", "decision"],
            Self::Deny => ["mcp", "policy", "deny"],
            Self::Violations => ["mcp", "policy", "violations"],
            Self::Allow => ["mcp", "policy", "allow"],
            Self::Baseline => ["mcp", "baseline", "allow"],
            Self::Obligations => ["mcp", "policy", "obligations"],
        }
    }

    /// The rule as a policy would write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Decision => "data.mcp.policy.decision",
            Self::Deny => "data.mcp.policy.deny",
            Self::Violations => "data.mcp.policy.violations",
            Self::Allow => "data.mcp.policy.allow",
            Self::Baseline => "data.mcp.baseline.allow",
            Self::Obligations => "data.mcp.policy.obligations",
        }
    }

    /// The key in the object that the generated module collects.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Deny => "deny",
            Self::Violations => "violations",
            Self::Allow => "allow",
            Self::Baseline => "baseline",
            Self::Obligations => "obligations",
        }
    }

    /// Whether the rule may be read as the union of what its definitions say.
    pub(crate) const fn is_collection(self) -> bool {
        matches!(self, Self::Deny | Self::Violations | Self::Obligations)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The rules that a set declares, of those that a verdict is read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Declared(u8);

impl Declared {
    /// What `graph` declares, without the rules that `is_off`.
    pub(crate) fn new(graph: &Graph, is_off: impl Fn(Role) -> bool) -> Self {
        let there = |role: &Role| !graph.named(&role.path()).is_empty() && !is_off(*role);
        Self(Role::ALL.into_iter().filter(there).fold(0, |bits, role| bits | role.bit()))
    }

    pub(crate) const fn has(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Whether there is anything that can deny.
    pub(crate) fn decides(self) -> bool {
        Role::DENYING.into_iter().any(|role| self.has(role))
    }

    /// The rules to evaluate. `decision` makes all others irrelevant but `obligations`, which adds to its own.
    pub(crate) fn roles(self) -> Vec<Role> {
        let asked = |role: &Role| match role {
            Role::Decision | Role::Obligations => true,
            Role::Deny | Role::Violations | Role::Allow => !self.has(Role::Decision),
            Role::Baseline => !self.has(Role::Decision) && self.has(Role::Allow),
        };
        Role::ALL.into_iter().filter(|role| self.has(*role) && asked(role)).collect()
    }
}
