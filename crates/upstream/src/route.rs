//! The ways to a server that its configuration leaves open, in the order they are tried.

use std::collections::BTreeMap;
use std::sync::Arc;

use child::Command;

use crate::config::TransportKind;
use crate::http::HttpClient;
use crate::target::Target;
use crate::websocket::WebSocketClient;
use crate::{Config, Error};

/// One way to speak to the server.
pub(crate) enum Route {
    /// Streamable HTTP at this address.
    Http(Arc<HttpClient>, Target),
    /// HTTP+SSE, its event stream at this address.
    Sse(Arc<HttpClient>, Target),
    /// WebSocket at this address.
    WebSocket(Arc<WebSocketClient>, Target),
    /// A child process.
    Stdio(Arc<Command>),
}

impl Route {
    /// The routes of a valid configuration: at least one.
    pub(crate) fn all(
        config: &Config,
        environment: &BTreeMap<String, String>,
    ) -> Result<Vec<Self>, Error> {
        let Some(url) = &config.url else {
            let command = crate::stdio::command(config, environment)?;
            return Ok(vec![Self::Stdio(Arc::new(command))]);
        };
        let given = Target::parse(url)?;
        let usual = |path| given.resolve(path).filter(|_| given.is_bare());
        match (config.transport, given.is_websocket()) {
            (TransportKind::WebSocket, false)
            | (TransportKind::Http | TransportKind::Sse, true) => {
                let what = "`websocket` goes with a url of `ws://` or `wss://`, `http` and `sse` with \
                            one of `http://` or `https://`";
                return Err(Error::Invalid { key: "upstream.transport", what });
            }
            (_, true) => {
                let client = Arc::new(WebSocketClient::new(config)?);
                let targets = [Some(given.clone()), usual("/ws")].into_iter().flatten();
                let route = |target| Self::WebSocket(Arc::clone(&client), target);
                return Ok(targets.map(route).collect());
            }
            (_, false) => {}
        }
        let client = Arc::new(HttpClient::new(config)?);
        let http = |target| Self::Http(Arc::clone(&client), target);
        let sse = |target| Self::Sse(Arc::clone(&client), target);
        let routes = match config.transport {
            TransportKind::Http => vec![Some(http(given.clone())), usual("/mcp").map(http)],
            TransportKind::Sse => vec![Some(sse(given.clone())), usual("/sse").map(sse)],
            TransportKind::Auto | TransportKind::Stdio | TransportKind::WebSocket => vec![
                Some(http(given.clone())),
                Some(sse(given.clone())),
                usual("/mcp").map(http),
                usual("/sse").map(sse),
            ],
        };
        Ok(routes.into_iter().flatten().collect())
    }
}
