//! Addresses of the server: what is dialled, and what may be shown.

use std::sync::Arc;

use http::Uri;
use url::Url;

use crate::Error;

/// One `http`, `https`, `ws` or `wss` address. Its displayed form has no query, which may hold a secret.
#[derive(Clone, Debug)]
pub(crate) struct Target(Arc<Address>);

#[derive(Debug)]
struct Address {
    url: Url,
    uri: Uri,
    http_uri: Uri,
    shown: String,
}

impl Target {
    /// Reads `upstream.url`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |what: &str| Error::Url { what: what.to_owned() };
        let url = Url::parse(text).map_err(|cause| refuse(&format!("is not a URL: {cause}")))?;
        if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") {
            let scheme = url.scheme();
            return Err(refuse(&format!("has the scheme `{scheme}`, not http, https, ws or wss")));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("holds a user or a password, which the gateway does not send"));
        }
        Self::of(url).ok_or_else(|| refuse("has characters that HTTP does not allow"))
    }

    fn of(mut url: Url) -> Option<Self> {
        url.set_fragment(None);
        let uri: Uri = url.as_str().parse().ok()?;
        let http_uri = match url.as_str().strip_prefix("ws") {
            Some(rest) => format!("http{rest}").parse().ok()?,
            None => uri.clone(),
        };
        let mut shown = url.clone();
        shown.set_query(None);
        Some(Self(Arc::new(Address { uri, http_uri, shown: shown.into(), url })))
    }

    /// Whether the address has no path, so that the usual ones are worth a try.
    pub(crate) fn is_bare(&self) -> bool {
        matches!(self.0.url.path(), "" | "/") && self.0.url.query().is_none()
    }

    /// The address that `reference` means when read here (RFC 3986, section 5), if it has the same
    /// scheme, host and port: a server does not get to send messages elsewhere.
    pub(crate) fn resolve(&self, reference: &str) -> Option<Self> {
        let url = self.0.url.join(reference).ok()?;
        let plain = url.username().is_empty() && url.password().is_none();
        (plain && url.origin() == self.0.url.origin()).then(|| Self::of(url)).flatten()
    }

    /// Host and port to connect to.
    pub(crate) fn host_and_port(&self) -> Option<(String, u16)> {
        let host = domain::bare_host(self.0.url.host_str()?);
        Some((host.to_owned(), self.0.url.port_or_known_default()?))
    }

    /// The address for the HTTP client.
    pub(crate) fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// The address as one of HTTP, which is what a WebSocket begins with.
    pub(crate) fn http_uri(&self) -> &Uri {
        &self.0.http_uri
    }

    /// Whether the address is one of a WebSocket (RFC 6455, section 3).
    pub(crate) fn is_websocket(&self) -> bool {
        matches!(self.0.url.scheme(), "ws" | "wss")
    }

    /// The address without query, for people and policy.
    pub(crate) fn shown(&self) -> &str {
        &self.0.shown
    }
}

#[cfg(test)]
mod tests;
