//! A message on its way to the server, with the headers that policy sets.

use std::ops::Deref;

use domain::Permit;
use http::{HeaderMap, HeaderName};
use protocol::Message;

/// What is to be sent for one message of the client.
#[derive(Clone, Copy)]
pub(crate) struct Parcel<'a> {
    pub(crate) message: &'a Message,
    headers: &'a [(Box<str>, Box<str>)],
}

impl<'a> Parcel<'a> {
    pub(crate) fn new(permit: &'a Permit, message: &'a Message) -> Self {
        Self { message, headers: permit.headers() }
    }

    /// A message of our own, for which policy sets nothing.
    pub(crate) fn own(message: &'a Message) -> Self {
        Self { message, headers: &[] }
    }

    /// Adds the headers of policy. Those that are there already, and those of MCP, are the transport's.
    pub(crate) fn label(self, headers: &mut HeaderMap) {
        for (name, value) in self.headers.iter().filter(|(name, _)| !name.starts_with("mcp-")) {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                headers.entry(name).or_insert(value);
            }
        }
    }
}

impl Deref for Parcel<'_> {
    type Target = Message;

    fn deref(&self) -> &Message {
        self.message
    }
}
