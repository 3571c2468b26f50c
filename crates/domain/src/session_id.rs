//! The two names of a session: one secret, for the wire; one public, for logs and policy.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// The public name of a session, in policy input, logs and the audit log. Knowing it gives no access.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// A fresh name.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("s-{}", random_uuid().simple()).into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SessionId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client sends to be recognised (`Mcp-Session-Id`, or `sessionId` in the URL of HTTP+SSE):
/// 244 random bits from the operating system, or sealed by the gateway's key; visible ASCII. Never
/// logged.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionToken(Arc<str>);

impl SessionToken {
    /// A fresh token.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()).into())
    }

    /// The token as it travels.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SessionToken {
    fn from(token: String) -> Self {
        Self(token.into())
    }
}

impl Borrow<str> for SessionToken {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A version 4 UUID from a generator seeded once a thread: unique, cheap (tens of nanoseconds), and
/// not for secrets.
#[must_use]
pub fn random_uuid() -> Uuid {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid()
}

#[cfg(test)]
mod tests;
