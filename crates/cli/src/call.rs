//! `mcp-proxy call`: a small MCP client, to try a gateway or a server by hand.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use domain::Span;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use protocol::header::{PROTOCOL_VERSION, SESSION_ID};
use serde_json::{Map, Value, json};

use crate::{Exit, output};

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Options of `call`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy call tools/list\n  \
    mcp-proxy call read_file path=welcome.txt\n  \
    mcp-proxy call --url http://127.0.0.1:8080/mcp resources/read uri=demo://welcome.txt\n\n\
    It speaks Streamable HTTP, over http:// only: neither HTTP+SSE nor https://.\n\n\
    Exits 0 when the server answered, 1 when the answer is an error or a denial, 2 when there was none.")]
pub(crate) struct CallArgs {
    /// Address of the Streamable HTTP endpoint
    #[arg(long, default_value = "http://127.0.0.1:3000/mcp")]
    url: hyper::Uri,

    /// Longest wait for the answer
    #[arg(long, value_name = "SPAN", default_value = "60s")]
    timeout: Span,

    /// A method (it contains `/`, or is `ping`), or the name of a tool to call
    #[arg(value_name = "METHOD|TOOL")]
    what: String,

    /// Parameters of the method or arguments of the tool: JSON values as they are, all else as text
    #[arg(value_name = "KEY=VALUE", value_parser = key_value)]
    arguments: Vec<(String, Value)>,
}

fn key_value(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        None | Some(("", _)) => Err("write it as `key=value`".to_owned()),
        Some((key, value)) => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            Ok((key.to_owned(), value))
        }
    }
}

/// The method and its parameters.
fn request(what: String, arguments: Vec<(String, Value)>) -> (String, Value) {
    let arguments: Map<_, _> = arguments.into_iter().collect();
    if what.contains('/') || what == "ping" {
        return (what, arguments.into());
    }
    ("tools/call".to_owned(), json!({ "name": what, "arguments": arguments }))
}

pub(crate) fn execute(args: CallArgs) -> anyhow::Result<Exit> {
    let CallArgs { url, timeout, what, arguments } = args;
    let (method, params) = request(what, arguments);
    let answer = crate::runtime()?.block_on(async {
        let answer = ask(url, &method, &params);
        tokio::time::timeout(timeout.duration(), answer)
            .await
            .with_context(|| format!("no answer within {timeout}; `--timeout` waits longer"))?
    })?;
    print(&answer)
}

async fn ask(url: hyper::Uri, method: &str, params: &Value) -> anyhow::Result<Value> {
    let mut peer = Peer::new(url)?;
    let answer = peer.converse(method, params).await;
    peer.leave().await;
    answer
}

/// Prints the result, or the error the way an agent sees it.
fn print(answer: &Value) -> anyhow::Result<Exit> {
    if let Some(error) = answer.get("error") {
        let text =
            error.get("message").and_then(Value::as_str).unwrap_or("error without a message");
        let denied = error.pointer("/data/kind").and_then(Value::as_str) == Some("policy_denied");
        let label = if denied { "denied" } else { "error" };
        output::note(&format!("{label}: {}", output::visible(text)));
        output::line(&output::json(error)?)?;
        return Ok(Exit::No);
    }
    let result = answer.get("result").context("the answer has neither result nor error")?;
    output::line(&output::json(result)?)?;
    let failed = result.get("isError").and_then(Value::as_bool).unwrap_or(false);
    Ok(if failed { Exit::No } else { Exit::Done })
}

/// One session with a server.
struct Peer {
    client: Client<HttpConnector, Full<Bytes>>,
    url: hyper::Uri,
    session: Option<String>,
    version: Option<String>,
    last_id: u64,
}

impl Peer {
    fn new(url: hyper::Uri) -> anyhow::Result<Self> {
        if url.scheme_str() != Some("http") {
            bail!("`{url}` is not an `http://` address");
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { client, url, session: None, version: None, last_id: 0 })
    }

    /// The answer to the request, or the one to `initialize` when that is refused already.
    async fn converse(&mut self, method: &str, params: &Value) -> anyhow::Result<Value> {
        let welcome = self.initialize().await?;
        if welcome.get("error").is_some() {
            return Ok(welcome);
        }
        let version = welcome.pointer("/result/protocolVersion").and_then(Value::as_str);
        self.version = version.map(str::to_owned);
        self.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await?;
        self.request(method, params).await
    }

    async fn initialize(&mut self) -> anyhow::Result<Value> {
        let params = json!({
            "protocolVersion": protocol::ProtocolVersion::LATEST_LEGACY.as_str(),
            "capabilities": {},
            "clientInfo": { "name": "mcp-proxy call", "version": env!("CARGO_PKG_VERSION") },
        });
        self.request("initialize", &params).await
    }

    async fn request(&mut self, method: &str, params: &Value) -> anyhow::Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let messages = self.post(&request).await?;
        let answers = |message: &Value| {
            message.get("method").is_none()
                && message.get("id").is_some_and(|answered| *answered == id || answered.is_null())
        };
        messages.into_iter().find(answers).with_context(|| format!("no answer to `{method}`"))
    }

    /// A request with the headers of the session.
    fn headed(&self, method: hyper::Method) -> hyper::http::request::Builder {
        let mut request = hyper::Request::builder().method(method).uri(&self.url);
        for (name, value) in [(SESSION_ID, &self.session), (PROTOCOL_VERSION, &self.version)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request
    }

    /// Sends a message and collects what comes back for it.
    async fn post(&mut self, message: &Value) -> anyhow::Result<Vec<Value>> {
        let request = self
            .headed(hyper::Method::POST)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .body(Full::from(message.to_string()))?;
        let response = self
            .client
            .request(request)
            .await
            .with_context(|| format!("cannot reach `{}`; is the gateway running?", self.url))?;
        let header =
            |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        if let Some(session) = header(SESSION_ID) {
            self.session = Some(session.to_owned());
        }
        let status = response.status();
        let streamed =
            header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body
            .map_err(anyhow::Error::from_boxed)
            .with_context(|| format!("the answer of `{}` cannot be read", self.url))?
            .to_bytes();
        if body.is_empty() && status.is_success() {
            return Ok(Vec::new());
        }
        let read = |text: &[u8]| {
            serde_json::from_slice(text).with_context(|| {
                format!("`{}` answered {status} with something that is not JSON", self.url)
            })
        };
        if !streamed {
            return Ok(vec![read(&body)?]);
        }
        let mut decoder = protocol::sse::Decoder::new(MAX_ANSWER);
        decoder.push(&body);
        let mut messages = Vec::new();
        while let Some(event) = decoder.next() {
            messages.push(read(&event?.data)?);
        }
        Ok(messages)
    }

    /// Ends the session. A server that does not want to know is no concern of ours.
    async fn leave(self) {
        if self.session.is_none() {
            return;
        }
        if let Ok(request) = self.headed(hyper::Method::DELETE).body(Full::default()) {
            self.client.request(request).await.ok();
        }
    }
}

#[cfg(test)]
mod tests;
