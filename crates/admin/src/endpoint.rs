//! Which ports are opened and what is found there.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use observability::{HealthRegistry, Metrics, Report, Status};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::control::{self, PolicyControl};
use crate::{AdminConfig, Error, HealthConfig, MetricsConfig};

/// The format that `Metrics::render` writes.
const METRICS_TYPE: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/json");

/// What is served on a port of this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Metrics { path: String },
    Probes { liveness: String, readiness: String },
    Control,
}

/// One port and what is served there. Its paths have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    address: String,
    port: u16,
    parts: Vec<Part>,
}

/// The sections of the configuration that open these ports.
#[derive(Clone, Copy, Debug)]
pub struct Sections<'a> {
    /// Section `metrics`.
    pub metrics: &'a MetricsConfig,
    /// Section `health`.
    pub health: &'a HealthConfig,
    /// Section `admin`.
    pub admin: &'a AdminConfig,
}

/// Where the pages have their contents from.
pub struct Pages {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The probes.
    pub health: Arc<HealthRegistry>,
    /// What operators ask.
    pub policy: Arc<dyn PolicyControl>,
}

impl Sections<'_> {
    /// Everything that is wrong with the sections, alone or together.
    #[must_use]
    pub fn problems(&self) -> Vec<Error> {
        let Self { metrics, health, admin } = self;
        let paths = [
            ("metrics.path", &metrics.path),
            ("health.liveness_path", &health.liveness_path),
            ("health.readiness_path", &health.readiness_path),
        ];
        let not_paths = paths
            .into_iter()
            .filter(|(_, path)| !is_path(path))
            .map(|(key, path)| Error::Path { key, path: path.clone() });
        let [of_metrics, of_liveness, of_readiness] = paths;
        let together = metrics.enabled
            && health.enabled
            && shared((&metrics.address, metrics.port), (&health.address, health.port));
        let pairs = [
            (of_readiness, of_liveness, true),
            (of_metrics, of_liveness, together),
            (of_metrics, of_readiness, together),
        ];
        let same_paths = pairs
            .into_iter()
            .filter(|((_, path), (_, other), one_port)| *one_port && path == other)
            .map(|((key, path), (other, _), _)| Error::SamePath { key, other, path: path.clone() });
        let reserved = paths
            .into_iter()
            .filter(|(_, path)| admin.enabled && path.starts_with(control::PREFIX))
            .map(|(key, path)| Error::Reserved { key, path: path.clone() });
        let exposed = Some(&admin.address)
            .filter(|address| admin.enabled && !control::is_loopback(address))
            .map(|address| Error::Exposed { address: address.clone() });
        not_paths.chain(same_paths).chain(reserved).chain(exposed).collect()
    }
}

/// The ports to open: none, or one for each address and port that the sections name.
///
/// # Errors
///
/// The first of [`Sections::problems`].
pub fn plan(sections: Sections<'_>) -> Result<Vec<Endpoint>, Error> {
    if let Some(error) = sections.problems().into_iter().next() {
        return Err(error);
    }
    let Sections { metrics, health, admin } = sections;
    let of_metrics = Part::Metrics { path: metrics.path.clone() };
    let of_health = Part::Probes {
        liveness: health.liveness_path.clone(),
        readiness: health.readiness_path.clone(),
    };
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for (enabled, address, port, part) in [
        (metrics.enabled, &metrics.address, metrics.port, of_metrics),
        (health.enabled, &health.address, health.port, of_health),
        (admin.enabled, &admin.address, admin.port, Part::Control),
    ] {
        if !enabled {
            continue;
        }
        let open = endpoints.iter_mut().find(|it| shared((&it.address, it.port), (address, port)));
        match open {
            Some(endpoint) => endpoint.parts.push(part),
            None => endpoints.push(Endpoint { address: address.clone(), port, parts: vec![part] }),
        }
    }
    Ok(endpoints)
}

/// Two free ports (0) are two ports.
fn shared(one: (&str, u16), other: (&str, u16)) -> bool {
    one == other && one.1 != 0
}

fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '.' | '_' | '~'))
}

impl Endpoint {
    /// Whether the metrics are here.
    #[must_use]
    pub fn has_metrics(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Metrics { .. }))
    }

    /// Whether the probes are here.
    #[must_use]
    pub fn has_probes(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Probes { .. }))
    }

    /// Whether the pages for operators are here.
    #[must_use]
    pub fn has_control(&self) -> bool {
        self.parts.contains(&Part::Control)
    }

    /// Opens the port.
    ///
    /// # Errors
    ///
    /// [`Error::Bind`].
    pub async fn bind(&self) -> Result<TcpListener, Error> {
        let host = domain::bare_host(&self.address);
        TcpListener::bind((host, self.port)).await.map_err(|cause| Error::Bind {
            keys: self.keys(),
            address: if host.contains(':') {
                format!("[{host}]:{}", self.port)
            } else {
                format!("{host}:{}", self.port)
            },
            cause,
        })
    }

    /// The keys of the configuration that name the port, for people.
    fn keys(&self) -> String {
        let keys = self.parts.iter().map(|part| match part {
            Part::Metrics { .. } => "`metrics.port`",
            Part::Probes { .. } => "`health.port`",
            Part::Control => "`admin.port`",
        });
        keys.collect::<Vec<_>>().join(" and ")
    }

    /// The pages of this port.
    pub fn router(&self, pages: &Pages) -> Router {
        let mut router = Router::new();
        for part in &self.parts {
            router = match part {
                Part::Metrics { path } => {
                    let metrics = Arc::clone(&pages.metrics);
                    let page = async move || answer(StatusCode::OK, METRICS_TYPE, metrics.render());
                    router.route(path, get(page))
                }
                Part::Probes { liveness, readiness } => {
                    let (alive, ready) = (Arc::clone(&pages.health), Arc::clone(&pages.health));
                    router
                        .route(liveness, get(async move || probe(&alive.liveness())))
                        .route(readiness, get(async move || probe(&ready.report())))
                }
                Part::Control => router.merge(control::routes(&pages.policy)),
            };
        }
        router
    }
}

fn probe(report: &Report) -> Response {
    let status = match report.status {
        Status::Healthy => StatusCode::OK,
        Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    json(status, report)
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(body) => answer(status, JSON_TYPE, body),
        Err(error) => {
            tracing::error!(%error, "an answer of an admin port cannot be written");
            answer(StatusCode::INTERNAL_SERVER_ERROR, JSON_TYPE, "{}".to_owned())
        }
    }
}

fn answer(status: StatusCode, content_type: HeaderValue, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
