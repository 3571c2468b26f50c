use std::net::SocketAddr;
use std::sync::Arc;

use domain::SystemClock;
use observability::{HealthRegistry, Metrics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::control::tests::Answers;
use crate::{AdminConfig, HealthConfig, MetricsConfig, Pages, Sections, plan, serve};

/// Metrics and probes on one port, served by a task that ends with `stop`.
struct Served {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    health: Arc<HealthRegistry>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

async fn start() -> Served {
    let port = 9090;
    let metrics = MetricsConfig { enabled: true, port, ..MetricsConfig::default() };
    let health = HealthConfig { enabled: true, port, ..HealthConfig::default() };
    let admin = AdminConfig { enabled: true, port, ..AdminConfig::default() };
    let sections = Sections { metrics: &metrics, health: &health, admin: &admin };
    let endpoint = plan(sections).unwrap().remove(0);
    let metrics = Arc::new(Metrics::new("files").unwrap());
    let health = Arc::new(HealthRegistry::new(Arc::new(SystemClock), Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pages = Pages {
        metrics: Arc::clone(&metrics),
        health: Arc::clone(&health),
        policy: Arc::new(Answers::default()),
    };
    let router = endpoint.router(&pages);
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, router, async move { drop(stopped.await) }));
    Served { address, metrics, health, stop, task }
}

async fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{request} HTTP/1.1\r\nhost: any.example\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// Asks one page of a gateway that is ready.
#[track_caller]
fn check(request: &str, status: u16, parts: &[&str]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (got, answer) = runtime.block_on(async {
        let served = start().await;
        served.health.set_ready();
        ask(served.address, request).await
    });
    assert_eq!(got, status, "{answer}");
    for part in parts {
        assert!(answer.contains(part), "{part} is not in {answer}");
    }
}

#[test]
fn pages_are_where_the_configuration_says() {
    check("GET /health", 200, &["content-type: application/json", "{\"status\":\"healthy\""]);
    check("GET /ready", 200, &["content-type: application/json", "\"components\":{\"gateway\""]);
    check(
        "GET /metrics",
        200,
        &[
            "content-type: text/plain; version=0.0.4; charset=utf-8",
            "mcp_proxy_build_info{version=",
        ],
    );
    check("HEAD /health", 200, &["cache-control: no-store"]);
    check("GET /", 404, &[]);
    check("GET /health/", 404, &[]);
    check("POST /metrics", 405, &[]);
    // Whoever is asked for under another name than this machine's may have been put in its place.
    check("GET /api/v1/policy", 403, &["the header `Host` must name this machine"]);
}

#[tokio::test]
async fn readiness_follows_the_gateway_and_probes_answer_while_it_drains() {
    let served = start().await;
    assert_eq!(ask(served.address, "GET /ready").await.0, 503);
    assert_eq!(ask(served.address, "GET /health").await.0, 200);
    served.health.set_ready();
    assert_eq!(ask(served.address, "GET /ready").await.0, 200);
    served.health.drain();
    let (status, answer) = ask(served.address, "GET /ready").await;
    assert_eq!(status, 503);
    assert!(answer.contains("\"message\":\"shutting down\""), "{answer}");
    assert_eq!(ask(served.address, "GET /health").await.0, 200);
}

#[tokio::test]
async fn metrics_are_those_of_now() {
    let served = start().await;
    served.metrics.request_started();
    let (_, answer) = ask(served.address, "GET /metrics").await;
    assert!(answer.contains("\nmcp_proxy_requests_in_flight 1\n"), "{answer}");
}

#[tokio::test]
async fn shutdown_ends_open_connections_and_frees_the_port() {
    let served = start().await;
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(ask(served.address, "GET /health").await.0, 200);
    served.stop.send(()).unwrap();
    served.task.await.unwrap();
    let ended = idle.read(&mut [0; 8]).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    TcpListener::bind(served.address).await.unwrap();
}
