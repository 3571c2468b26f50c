//! Hosts and origins as HTTP writes them, compared as what they mean.
//!
//! `LocalHost:3000`, `localhost.` and `localhost` are the same host; `user@localhost` is none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host, borrowed from the text that names it.
#[derive(Clone, Copy, Debug)]
enum Name<'a> {
    Dns(&'a str),
    Ip(IpAddr),
}

impl<'a> Name<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Ip(address.into()));
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() || !text.bytes().all(is_name_byte) {
            return None;
        }
        if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            // Digits and dots that are no address would still be read as one by some resolvers.
            return text.parse().ok().map(|address: Ipv4Addr| Self::Ip(address.into()));
        }
        Some(Self::Dns(text))
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dns(one), Self::Dns(other)) => one.eq_ignore_ascii_case(other),
            (Self::Ip(one), Self::Ip(other)) => one == other,
            (Self::Dns(_), Self::Ip(_)) | (Self::Ip(_), Self::Dns(_)) => false,
        }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// A host and perhaps a port: what follows `Host:` (RFC 9110, section 7.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Authority<'a> {
    name: Name<'a>,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`. User information is refused.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.rfind(':') {
            Some(at) if !text.ends_with(']') => {
                let (host, port) = text.split_at_checked(at)?;
                (host, Some(read_port(port.strip_prefix(':')?)?))
            }
            Some(_) | None => (text, None),
        };
        Some(Self { name: Name::parse(host)?, port })
    }

    /// Whether this is the machine itself, under one of the names that need no resolver.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.name {
            Name::Dns(name) => name.eq_ignore_ascii_case("localhost"),
            Name::Ip(IpAddr::V4(address)) => address == Ipv4Addr::LOCALHOST,
            Name::Ip(IpAddr::V6(address)) => address == Ipv6Addr::LOCALHOST,
        }
    }

    /// Whether `allowed` stands for this host: same name, and same port unless `allowed` has none.
    pub(crate) fn matches(&self, allowed: &Self) -> bool {
        self.name == allowed.name && (allowed.port.is_none() || allowed.port == self.port)
    }
}

fn read_port(text: &str) -> Option<u16> {
    // `u16::from_str` takes a plus sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The origin of a web page (RFC 6454): scheme, host, port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    scheme: &'a str,
    authority: Authority<'a>,
}

impl<'a> Origin<'a> {
    /// Reads `scheme://host[:port]`. `null`, lists and paths are no origins.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let mut bytes = scheme.bytes();
        let is_scheme = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        let authority = Authority::parse(authority)?;
        is_scheme.then_some(Self { scheme, authority })
    }

    /// Whether the page was served by the machine itself.
    pub(crate) fn is_loopback(&self) -> bool {
        (self.has_scheme("http") || self.has_scheme("https")) && self.authority.is_loopback()
    }

    fn has_scheme(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    fn port(&self) -> Option<u16> {
        self.authority.port.or_else(|| {
            if self.has_scheme("https") {
                Some(443)
            } else if self.has_scheme("http") {
                Some(80)
            } else {
                None
            }
        })
    }
}

impl PartialEq for Origin<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.has_scheme(other.scheme)
            && self.authority.name == other.authority.name
            && self.port() == other.port()
    }
}

#[cfg(test)]
mod tests;
