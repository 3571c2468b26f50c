//! Which ports are opened and what is found there.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use observability::{HealthRegistry, Metrics, Report, Status};
use tokio::net::TcpListener;

use crate::{Error, HealthConfig, MetricsConfig};

/// The format that `Metrics::render` writes.
const METRICS_TYPE: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/json");

/// One port and what is served there. Its paths have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    address: String,
    port: u16,
    metrics: Option<String>,
    probes: Option<Probes>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Probes {
    liveness: String,
    readiness: String,
}

/// Everything that is wrong with the two sections, alone or together.
#[must_use]
pub fn validate(metrics: &MetricsConfig, health: &HealthConfig) -> Vec<Error> {
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
    let together = metrics.enabled && health.enabled && shared(metrics, health);
    let pairs = [
        (of_readiness, of_liveness, true),
        (of_metrics, of_liveness, together),
        (of_metrics, of_readiness, together),
    ];
    let same_paths = pairs
        .into_iter()
        .filter(|((_, path), (_, other), one_port)| *one_port && path == other)
        .map(|((key, path), (other, _), _)| Error::SamePath { key, other, path: path.clone() });
    not_paths.chain(same_paths).collect()
}

/// The ports to open: none, one, or one for each section.
///
/// # Errors
///
/// The first of [`validate`].
pub fn plan(metrics: &MetricsConfig, health: &HealthConfig) -> Result<Vec<Endpoint>, Error> {
    if let Some(error) = validate(metrics, health).into_iter().next() {
        return Err(error);
    }
    let mut endpoints = Vec::new();
    if metrics.enabled {
        endpoints.push(Endpoint {
            address: metrics.address.clone(),
            port: metrics.port,
            metrics: Some(metrics.path.clone()),
            probes: None,
        });
    }
    if health.enabled {
        let probes = Some(Probes {
            liveness: health.liveness_path.clone(),
            readiness: health.readiness_path.clone(),
        });
        match endpoints.last_mut().filter(|_| shared(metrics, health)) {
            Some(endpoint) => endpoint.probes = probes,
            None => endpoints.push(Endpoint {
                address: health.address.clone(),
                port: health.port,
                metrics: None,
                probes,
            }),
        }
    }
    Ok(endpoints)
}

/// Two free ports (0) are two ports.
fn shared(metrics: &MetricsConfig, health: &HealthConfig) -> bool {
    metrics.port != 0 && metrics.port == health.port && metrics.address == health.address
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
        self.metrics.is_some()
    }

    /// Whether the probes are here.
    #[must_use]
    pub fn has_probes(&self) -> bool {
        self.probes.is_some()
    }

    /// Opens the port.
    ///
    /// # Errors
    ///
    /// [`Error::Bind`].
    pub async fn bind(&self) -> Result<TcpListener, Error> {
        let host = domain::bare_host(&self.address);
        TcpListener::bind((host, self.port)).await.map_err(|cause| Error::Bind {
            keys: match (&self.metrics, &self.probes) {
                (Some(_), Some(_)) => "`metrics.port` and `health.port`",
                (Some(_), None) => "`metrics.port`",
                (None, _) => "`health.port`",
            },
            address: if host.contains(':') {
                format!("[{host}]:{}", self.port)
            } else {
                format!("{host}:{}", self.port)
            },
            cause,
        })
    }

    /// The pages of this port.
    pub fn router(&self, metrics: &Arc<Metrics>, health: &Arc<HealthRegistry>) -> Router {
        let mut router = Router::new();
        if let Some(path) = &self.metrics {
            let metrics = Arc::clone(metrics);
            let page =
                move || async move { answer(StatusCode::OK, METRICS_TYPE, metrics.render()) };
            router = router.route(path, get(page));
        }
        if let Some(probes) = &self.probes {
            let (alive, ready) = (Arc::clone(health), Arc::clone(health));
            router = router
                .route(&probes.liveness, get(move || async move { probe(&alive.liveness()) }))
                .route(&probes.readiness, get(move || async move { probe(&ready.report()) }));
        }
        router
    }
}

fn probe(report: &Report) -> Response {
    let status = match report.status {
        Status::Healthy => StatusCode::OK,
        Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    match serde_json::to_string(report) {
        Ok(body) => answer(status, JSON_TYPE, body),
        Err(error) => {
            tracing::error!(%error, "the answer of a probe cannot be written");
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
