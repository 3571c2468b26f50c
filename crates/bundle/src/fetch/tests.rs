use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::{Secret, Span};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::Fetcher;
use crate::fixture::{keys, packed, signed};
use crate::{Algorithm, Config, Error};

/// A server that gives its answers in turn, one a connection, and then its requests.
struct Server {
    address: SocketAddr,
    requests: JoinHandle<Vec<String>>,
    folder: TempDir,
}

impl Server {
    /// Serves over TLS for `localhost`, under a certificate of its own making.
    async fn start(answers: Vec<Vec<u8>>) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = tokio::spawn(async move {
            let mut requests = Vec::new();
            for answer in answers {
                let (tcp, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                requests.push(String::from_utf8(request).unwrap().to_lowercase());
                // The client may have seen enough.
                drop(stream.write_all(&answer).await);
                drop(stream.shutdown().await);
            }
            requests
        });
        Self { address, requests, folder }
    }

    fn config(&self) -> Config {
        Config {
            url: Some(format!("https://localhost:{}/b.tar.gz?secret=1", self.address.port())),
            ca_file: Some(self.folder.path().join("ca.pem")),
            token: Some(Secret::new("hunter2".to_owned())),
            poll_interval: Span::secs(60),
            ..Config::default()
        }
    }

    fn fetcher(&self) -> Fetcher {
        Fetcher::new(&self.config()).unwrap().unwrap()
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn what_has_not_changed_is_not_news() {
    let server = Server::start(vec![
        answer("200 OK", "etag: \"1\"\r\n", &packed("r1")),
        answer("304 Not Modified", "", b""),
        answer("200 OK", "etag: \"2\"\r\n", &packed("r1")),
        answer("200 OK", "", &packed("r2")),
        answer("200 OK", "", &packed("r2")),
    ])
    .await;
    let mut fetcher = server.fetcher();
    assert_eq!(fetcher.poll().await.unwrap().unwrap().manifest().revision, "r1");
    assert!(fetcher.poll().await.unwrap().is_none(), "the tag is the same");
    assert!(fetcher.poll().await.unwrap().is_none(), "the content is the same");
    assert_eq!(fetcher.poll().await.unwrap().unwrap().manifest().revision, "r2");
    assert!(fetcher.poll().await.unwrap().is_none());
    let requests = server.requests.await.unwrap();
    assert!(requests[0].starts_with("get /b.tar.gz?secret=1 http/1.1"), "{}", requests[0]);
    assert!(requests.iter().all(|it| it.contains("authorization: bearer hunter2\r\n")));
    let tags: Vec<_> = requests
        .iter()
        .map(|it| it.lines().find_map(|line| line.strip_prefix("if-none-match: ")))
        .collect();
    assert_eq!(tags, [None, Some("\"1\""), Some("\"1\""), Some("\"2\""), None]);
}

#[track_caller]
fn check_failed(outcome: Result<Option<crate::Bundle>, Error>, expected: &str) {
    let error = outcome.unwrap_err();
    assert!(!error.is_of_content(), "{error}");
    let error = error.to_string();
    assert!(error.contains(expected), "{expected} is not in {error}");
    assert!(!error.contains("secret") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn failures_are_told_and_waited_out_for_longer_and_longer() {
    let whole = answer("200 OK", "", &packed("r1"));
    let large = answer("200 OK", "", &vec![0; 5000]);
    let server = Server::start(vec![
        answer("500 Internal Server Error", "", b""),
        answer("302 Found", "location: https://elsewhere.example/\r\n", b""),
        whole[..whole.len() - 1].to_vec(),
        large,
        answer("304 Not Modified", "", b""),
        answer("200 OK", "", b"no bundle"),
        answer("200 OK", "", b"no bundle"),
        whole,
    ])
    .await;
    let config = Config { max_bytes: 4096, ..server.config() };
    let mut fetcher = Fetcher::new(&config).unwrap().unwrap();
    assert_eq!(fetcher.delay(1.0), Duration::from_secs(60));
    check_failed(fetcher.poll().await, "500");
    assert_eq!(fetcher.delay(1.0), Duration::from_secs(1));
    check_failed(fetcher.poll().await, "redirects are not followed");
    assert_eq!(fetcher.delay(1.0), Duration::from_secs(2));
    assert_eq!(fetcher.delay(0.0), Duration::from_secs(1));
    check_failed(fetcher.poll().await, "cannot fetch");
    check_failed(fetcher.poll().await, "max_bytes");
    // Nothing was asked for under a tag.
    check_failed(fetcher.poll().await, "304");
    assert_eq!(fetcher.delay(1.0), Duration::from_secs(16));
    // An answer that is no bundle is a fault of the bundle, told once.
    assert!(fetcher.poll().await.unwrap_err().is_of_content());
    assert_eq!(fetcher.delay(1.0), Duration::from_secs(60));
    assert!(fetcher.poll().await.unwrap().is_none());
    assert!(fetcher.poll().await.unwrap().is_some());
    drop(server.requests.await.unwrap());
    for _ in 0..100 {
        check_failed(fetcher.poll().await, "cannot fetch");
    }
    assert_eq!(fetcher.delay(1.0), Duration::from_secs(60));
    assert_eq!(fetcher.delay(0.0), Duration::from_secs(30));
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_refused() {
    let whole = answer("200 OK", "", &packed("r1"));
    let server = Server::start(vec![whole.clone(), whole]).await;
    let web = Config { ca_file: None, ..server.config() };
    check_failed(Fetcher::new(&web).unwrap().unwrap().poll().await, "certificate");
    let port = server.address.port();
    let other = Config { url: Some(format!("https://127.0.0.1:{port}/b")), ..server.config() };
    check_failed(Fetcher::new(&other).unwrap().unwrap().poll().await, "certificate");
    assert!(server.requests.await.unwrap().is_empty(), "no request, and no token, was sent");
}

#[tokio::test]
async fn what_is_fetched_is_verified() {
    let (signing, verifying) = keys(Algorithm::ES256);
    drop(verifying);
    let server = Server::start(vec![
        answer("200 OK", "", &packed("r1")),
        answer("200 OK", "", &signed(&packed("r2"), &signing)),
    ])
    .await;
    let mut config = server.config();
    config.shared_keys.insert("a".into(), Secret::new(crate::fixture::SHARED.to_owned()));
    let mut fetcher = Fetcher::new(&config).unwrap().unwrap();
    for expected in ["there is none", "the key is for HS256"] {
        let error = fetcher.poll().await.unwrap_err();
        assert!(error.is_of_content() && error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    assert!(Fetcher::new(&Config::default()).unwrap().is_none());
    let url = Some("https://a.example/b".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("ca.pem");
    let config = Config { url, ca_file: Some(missing.clone()), ..Config::default() };
    let error = |config: &Config| Fetcher::new(config).err().unwrap().to_string();
    assert!(error(&config).contains("ca.pem"), "{}", error(&config));
    std::fs::write(&missing, "no PEM").unwrap();
    assert!(error(&config).contains("no certificate"), "{}", error(&config));
    let token = Some(Secret::new("a\nb".to_owned()));
    let config = Config { token, ca_file: None, ..config };
    assert!(error(&config).contains("`policy.bundle.token`"), "{}", error(&config));
}
