//! Hosts as people write them in addresses.

/// `host` without the brackets that set an IPv6 address apart from a port (RFC 3986, section 3.2.2).
#[must_use]
pub fn bare_host(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests;
