//! What the type of a single key cannot say.

use std::net::IpAddr;
use std::sync::Arc;

use domain::SystemClock;
use observability::Output;
use transport_http::Served;
use upstream::UpstreamServer;

use crate::Settings;

/// Everything that is wrong, each naming its key and the remedy.
pub(crate) fn problems(settings: &Settings) -> Vec<String> {
    let mut problems = Vec::new();
    problems.extend(settings.server.validate().err().map(|error| error.to_string()));
    problems.extend(settings.policy.validate().err().map(|error| error.to_string()));
    problems.extend(settings.audit.validate().err().map(|error| error.to_string()));
    problems.extend(settings.approval.validate().err().map(|error| error.to_string()));
    let ports = settings.admin_sections().problems();
    problems.extend(ports.iter().map(ToString::to_string));
    problems.extend(addresses(settings));
    problems.extend(collisions(settings));
    problems.extend(upstream(settings));
    problems.extend(session(settings));
    problems.extend(logging(settings));
    problems
}

fn addresses(settings: &Settings) -> Vec<String> {
    let keys = [
        ("server.listen.address", &settings.server.listen.address),
        ("metrics.address", &settings.metrics.address),
        ("health.address", &settings.health.address),
        ("admin.address", &settings.admin.address),
    ];
    keys.into_iter()
        .filter(|(_, address)| !is_address(address))
        .map(|(key, address)| {
            format!("`{key}`: `{address}` is not an IP address or host name; write for example `127.0.0.1`, the port has its own key")
        })
        .collect()
}

fn is_address(text: &str) -> bool {
    let host_name = !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    host_name || ip(text).is_some()
}

fn ip(text: &str) -> Option<IpAddr> {
    domain::bare_host(text).parse().ok()
}

/// A port of the gateway.
struct Port<'a> {
    key: &'static str,
    address: &'a str,
    port: u16,
    opened: bool,
}

impl Port<'_> {
    fn collides(&self, other: &Port<'_>) -> bool {
        let any = |address| ip(address).is_some_and(|ip| ip.is_unspecified());
        self.opened
            && other.opened
            && self.port != 0
            && self.port == other.port
            && (self.address == other.address || any(self.address) || any(other.address))
    }

    /// Whether a server at `url` would be the gateway itself.
    fn is_at(&self, url: &str) -> bool {
        let Some((_, rest)) = url.split_once("://") else { return false };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let Some((host, port)) = authority.rsplit_once(':') else { return false };
        let local = host == "localhost" || ip(host).is_some_and(|ip| ip.is_loopback());
        let here = host == self.address
            || (local && ip(self.address).is_none_or(|ip| ip.is_loopback() || ip.is_unspecified()));
        self.opened && here && port.parse() == Ok(self.port)
    }
}

/// Those of the clients, of the metrics, of the probes and of operators.
fn ports(settings: &Settings) -> [Port<'_>; 4] {
    let Settings { server, metrics, health, admin, .. } = settings;
    let port = |key, address, port, opened| Port { key, address, port, opened };
    let listen = &server.listen;
    [
        port(
            "server.listen.port",
            listen.address.as_str(),
            listen.port,
            server.transport != Served::Stdio,
        ),
        port("metrics.port", &metrics.address, metrics.port, metrics.enabled),
        port("health.port", &health.address, health.port, health.enabled),
        port("admin.port", &admin.address, admin.port, admin.enabled),
    ]
}

fn collisions(settings: &Settings) -> Vec<String> {
    let ports = ports(settings);
    let pairs = ports.iter().enumerate().flat_map(|(place, other)| {
        // On one and the same address, all but the clients share a port.
        let later = ports.iter().skip(place + 1);
        later.map(move |one| (one, other, place == 0 || one.address != other.address))
    });
    pairs
        .filter(|(one, other, apart)| *apart && one.collides(other))
        .map(|(one, other, _)| {
            format!("`{}` and `{}` are both `{}`; set another port", one.key, other.key, one.port)
        })
        .collect()
}

fn upstream(settings: &Settings) -> Vec<String> {
    let config = &settings.upstream;
    let checked = if settings.names_upstream() {
        // Making a server starts and dials nothing, and checks everything.
        UpstreamServer::new(config.clone(), [], Arc::new(SystemClock)).map(drop)
    } else {
        config.validate_values()
    };
    let mut problems: Vec<String> =
        checked.err().map(|error| error.to_string()).into_iter().collect();
    let Some(url) = &config.url else { return problems };
    problems.extend(ports(settings).iter().find(|port| port.is_at(url)).map(|port| {
        format!(
            "`upstream.url`: `{url}` is the gateway's own address, by `{}`; name the MCP server behind it, or set another port",
            port.key
        )
    }));
    problems
}

fn session(settings: &Settings) -> Option<String> {
    let (ttl, idle) = (settings.session.ttl, settings.session.idle_timeout);
    let never = !ttl.duration().is_zero() && idle > ttl;
    never.then(|| {
        format!("`session.idle_timeout`: `{idle}` is longer than `session.ttl`, which is `{ttl}`; shorten it")
    })
}

fn logging(settings: &Settings) -> Vec<String> {
    let logging = &settings.logging;
    let mut problems = Vec::new();
    if logging.output == Output::File && logging.file.path.as_os_str().is_empty() {
        problems.push(
            "`logging.file.path`: it is empty; name a file, for example `mcp-proxy.log`".to_owned(),
        );
    }
    if logging.output == Output::Stdout && settings.server.transport == Served::Stdio {
        problems.push(
            "`logging.output`: standard output carries the messages of the client over stdio; write `stderr` or `file`"
                .to_owned(),
        );
    }
    problems
}

#[cfg(test)]
mod tests;
