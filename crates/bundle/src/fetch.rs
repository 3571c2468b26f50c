//! Bundles over HTTP: asked for again and again with the tag of the last one.
//!
//! Redirects are never followed and no proxy is used. An answer that was seen already, good or bad, is not news.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::time::timeout;
use url::Url;

use crate::{Bundle, Config, Error, Verification};

/// How long one fetch may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long to wait behind the first failure.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// Fetches the bundle of one configuration.
pub struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    url: Url,
    token: Option<HeaderValue>,
    verification: Verification,
    max_bytes: usize,
    poll_interval: Duration,
    /// The tag and the hash of the last answer.
    tag: Option<HeaderValue>,
    seen: Option<Vec<u8>>,
    failures: u32,
}

impl Fetcher {
    /// A fetcher, when the configuration names an address; nothing is dialled.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] and [`Error::File`] name what cannot be used.
    pub fn new(config: &Config) -> Result<Option<Self>, Error> {
        let Some(url) = &config.url else { return Ok(None) };
        let url = config.address(url)?;
        let token = config.token.as_ref().map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let token = token.transpose().map_err(|_: http::header::InvalidHeaderValue| {
            let hint = "give a token of printable ASCII";
            Error::Setting { key: "token".to_owned(), value: "no header".to_owned(), hint }
        })?;
        Ok(Some(Self {
            client: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build(tls(config, &url)?),
            url,
            token,
            verification: config.verification()?,
            max_bytes: config.max_bytes,
            poll_interval: config.poll_interval.duration(),
            tag: None,
            seen: None,
            failures: 0,
        }))
    }

    /// The bundle, unless it is the one that was there last time.
    ///
    /// # Errors
    ///
    /// [`Error::Fetch`] when there is no answer or no good one; when there is one, what [`Bundle::read`] refuses: once,
    /// and then again when the answer has changed.
    pub async fn poll(&mut self) -> Result<Option<Bundle>, Error> {
        let fetched = match timeout(DEADLINE, self.fetch()).await {
            Ok(fetched) => fetched,
            Err(_) => Err(self.failed(format!("no answer within {} s", DEADLINE.as_secs()))),
        };
        self.failures = if fetched.is_ok() { 0 } else { self.failures.saturating_add(1) };
        let Some((packed, tag)) = fetched? else { return Ok(None) };
        let hash = Some(digest(&SHA256, &packed).as_ref().to_vec());
        self.tag = tag;
        if hash == self.seen {
            return Ok(None);
        }
        self.seen = hash;
        Bundle::read(packed, &self.verification).map(Some)
    }

    /// How long to wait before the next poll: the poll interval, or behind failures a time that doubles up to it.
    /// `random` lies from 0 to 1 and sets the instances of a fleet apart.
    #[must_use]
    pub fn delay(&self, random: f64) -> Duration {
        let Some(doublings) = self.failures.checked_sub(1) else {
            return self.poll_interval.mul_f64(0.9 + 0.1 * random.clamp(0.0, 1.0));
        };
        let ceiling = FIRST_DELAY.saturating_mul(2_u32.saturating_pow(doublings));
        ceiling.min(self.poll_interval).mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }

    /// The body and tag of an answer; `None` when nothing has changed.
    async fn fetch(&self) -> Result<Option<(Bytes, Option<HeaderValue>)>, Error> {
        let mut request = Request::get(self.url.as_str())
            .header(ACCEPT, "application/gzip, application/octet-stream");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some(tag) = &self.tag {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let request = request.body(Empty::new()).map_err(|error| self.failed(error.to_string()))?;
        let answer =
            self.client.request(request).await.map_err(|error| self.failed(chain(&error)))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if self.tag.is_some() => return Ok(None),
            status if status.is_redirection() => {
                let problem = format!("it answered {status}, and redirects are not followed");
                return Err(self.failed(problem));
            }
            status => return Err(self.failed(format!("it answered {status}"))),
        }
        let tag = answer.headers().get(ETAG).cloned();
        Ok(Some((self.collect(answer).await?, tag)))
    }

    async fn collect(&self, answer: Response<Incoming>) -> Result<Bytes, Error> {
        match Limited::new(answer.into_body(), self.max_bytes).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(self.failed(format!(
                "it is larger than {} bytes; raise `policy.bundle.max_bytes`",
                self.max_bytes
            ))),
            Err(error) => Err(self.failed(chain(&*error))),
        }
    }

    fn failed(&self, problem: String) -> Error {
        failed(&self.url, problem)
    }
}

/// A failure to fetch, without the query of the address, in which there may be a key.
fn failed(url: &Url, problem: String) -> Error {
    let mut url = url.clone();
    url.set_query(None);
    Error::Fetch { url: url.to_string(), problem }
}

fn tls(config: &Config, url: &Url) -> Result<HttpsConnector<HttpConnector>, Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = HttpsConnectorBuilder::new();
    let builder = match &config.ca_file {
        None => builder
            .with_provider_and_webpki_roots(provider)
            .map_err(|error| failed(url, error.to_string()))?,
        Some(path) => {
            let client = ClientConfig::builder_with_provider(Arc::new(provider))
                .with_safe_default_protocol_versions()
                .map_err(|error| failed(url, error.to_string()))?
                .with_root_certificates(roots(path)?)
                .with_no_client_auth();
            builder.with_tls_config(client)
        }
    };
    Ok(builder.https_or_http().enable_http1().wrap_connector(tcp))
}

/// The certificates in a file.
fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let failed = |problem: String| Error::File {
        path: path.to_owned(),
        cause: std::io::Error::other(problem),
        hint: "set `policy.bundle.ca_file` to certificates in PEM form",
    };
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() { Err(failed("no certificate".to_owned())) } else { Ok(roots) }
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests;
