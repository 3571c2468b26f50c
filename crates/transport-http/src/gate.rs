//! Host and Origin: who may ask at all. It stops web pages that reach the gateway through a browser, by DNS
//! rebinding or directly (MCP, Streamable HTTP, "Security Warning").

use http::header::{HOST, HeaderName, ORIGIN};
use http::request::Parts;

use crate::config::Security;
use crate::host::{Authority, Origin};
use crate::refusal::Refusal;

/// The names that are let in.
pub(crate) struct Gate {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Gate {
    /// The gate for a listener on `address`. Entries that [`Config::validate`](crate::Config::validate) refuses let
    /// nobody in.
    pub(crate) fn new(security: &Security, address: &str) -> Self {
        let mut hosts = security.allowed_hosts.clone();
        match address.parse::<std::net::IpAddr>() {
            // A wildcard address is none that a client could mean.
            Ok(ip) if ip.is_unspecified() => {}
            Ok(std::net::IpAddr::V6(ip)) => hosts.push(format!("[{ip}]")),
            Ok(std::net::IpAddr::V4(_)) | Err(_) => hosts.push(address.to_owned()),
        }
        Self { hosts, origins: security.allowed_origins.clone() }
    }

    /// Lets a request pass or says why not.
    pub(crate) fn check(&self, request: &Parts) -> Result<(), Refusal> {
        let host = single(request, &HOST)?
            .ok_or_else(|| Refusal::bad("the header `Host` is missing: send exactly one"))?;
        self.check_host(host)?;
        if let Some(authority) = request.uri.authority() {
            self.check_host(authority.as_str())?;
        }
        match single(request, &ORIGIN)? {
            Some(origin) => self.check_origin(origin),
            None => Ok(()),
        }
    }

    fn check_host(&self, host: &str) -> Result<(), Refusal> {
        let allowed = Authority::parse(host).is_some_and(|host| {
            host.is_loopback()
                || self
                    .hosts
                    .iter()
                    .filter_map(|allowed| Authority::parse(allowed))
                    .any(|allowed| host.matches(&allowed))
        });
        if allowed {
            return Ok(());
        }
        let hint = "list it under `server.security.allowed_hosts` if clients are to use it";
        Err(Refusal::forbidden(format!("the host `{}` is not served here: {hint}", excerpt(host))))
    }

    fn check_origin(&self, origin: &str) -> Result<(), Refusal> {
        let allowed = Origin::parse(origin).is_some_and(|origin| {
            origin.is_loopback()
                || self
                    .origins
                    .iter()
                    .filter_map(|allowed| Origin::parse(allowed))
                    .any(|allowed| origin == allowed)
        });
        if allowed {
            return Ok(());
        }
        let hint = "list it under `server.security.allowed_origins` if its pages are to be trusted";
        Err(Refusal::forbidden(format!("the origin `{}` is not allowed: {hint}", excerpt(origin))))
    }
}

/// The value of a header that may stand at most once.
pub(crate) fn single<'a>(
    request: &'a Parts,
    name: &HeaderName,
) -> Result<Option<&'a str>, Refusal> {
    let mut values = request.headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::bad(format!("the header `{name}` stands more than once")));
    }
    let text = first.to_str();
    text.map(Some).map_err(|_| Refusal::bad(format!("the header `{name}` is not visible ASCII")))
}

/// As much of a header as an error message repeats.
fn excerpt(value: &str) -> &str {
    value.get(..100).unwrap_or(value)
}

#[cfg(test)]
mod tests;
