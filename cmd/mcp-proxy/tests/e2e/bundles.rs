//! `policy.bundle`: policies that are fetched, verified, followed and kept.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::http::Head;
use crate::harness::{Client, Config, Conn, Gateway, Upstream, free_port, run_in, until};

/// What shared-key signatures are made with.
const SHARED: &str = "0123456789abcdef0123456789abcdef";

/// A web server that publishes one bundle, and remembers who asked.
struct Publisher {
    addr: SocketAddr,
    bundle: Arc<Mutex<Vec<u8>>>,
    asked: Arc<Mutex<Vec<Head>>>,
}

impl Publisher {
    fn start(bundle: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let bundle = Arc::new(Mutex::new(bundle));
        let asked: Arc<Mutex<Vec<Head>>> = Arc::default();
        let (published, heads) = (Arc::clone(&bundle), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut conn = Conn::over(stream);
                let Ok(head) = conn.read_head() else { continue };
                let bytes: Vec<u8> = published.lock().unwrap().clone();
                let tag = format!(
                    "\"{:x}\"",
                    bytes.iter().fold(0_u64, |sum, byte| sum
                        .wrapping_mul(31)
                        .wrapping_add(u64::from(*byte)))
                );
                let same = head.header("if-none-match") == Some(&*tag);
                heads.lock().unwrap().push(head);
                let (status, body): (&str, &[u8]) =
                    if same { ("304 Not Modified", &[]) } else { ("200 OK", &bytes) };
                let text = format!(
                    "HTTP/1.1 {status}\r\nETag: {tag}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                drop(conn.write(&[text.as_bytes(), body].concat()));
            }
        });
        Self { addr, bundle, asked }
    }

    fn publish(&self, bundle: Vec<u8>) {
        *self.bundle.lock().unwrap() = bundle;
    }

    fn unchanged(&self) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|head| head.header("if-none-match").is_some()).count()
    }
}

/// A bundle that denies `tool`, built with these options.
#[track_caller]
fn bundle(dir: &Path, tool: &str, options: &[&str]) -> Vec<u8> {
    let folder = dir.join("source");
    std::fs::create_dir_all(&folder).unwrap();
    let rule = format!(
        "package mcp.policy\n\nimport rego.v1\n\nviolations contains {{\"msg\": \"no\", \"rule\": \"no_{tool}\"}} if input.tool == \"{tool}\"\n"
    );
    std::fs::write(folder.join("main.rego"), rule).unwrap();
    let args = ["policy", "bundle", "source", "-o", "built.tar.gz", "--revision", tool];
    let built = run_in(dir, &[&args, options].concat(), &[]);
    assert_eq!(built.code, 0, "{built:?}");
    std::fs::read(dir.join("built.tar.gz")).unwrap()
}

#[track_caller]
fn denied(client: &mut Client, tool: &str) -> bool {
    let answer = client.call(tool, json!({}));
    assert!(answer["result"].is_object() || answer["error"]["code"] == -31001, "{answer}");
    answer["error"].is_object()
}

/// A gateway that takes its policies from a bundle.
fn config(upstream: &Upstream, bundle: Value) -> Config {
    let config = Config::new(upstream.addr).operated().unset("policy.policy_dir");
    let kept = config.at("kept.tar.gz").to_str().unwrap().to_owned();
    config
        .set("policy.bundle", bundle)
        .set("policy.bundle.poll_interval", "1s")
        .set("policy.bundle.persist_file", kept)
}

#[test]
fn a_signed_bundle_is_fetched_followed_and_kept() {
    let upstream = Upstream::plain();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("key"), SHARED).unwrap();
    let signed =
        ["--signing-key", "key", "--signing-alg", "HS256", "--key-id", "team", "--scope", "prod"];
    let publisher = Publisher::start(bundle(dir.path(), "echo", &signed));
    let config = config(
        &upstream,
        json!({
            "url": format!("http://{}/bundle.tar.gz", publisher.addr), "token": "t0ken",
            "shared_keys": { "team": SHARED }, "key_id": "team", "scope": "prod",
        }),
    );
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    assert!(denied(&mut client, "echo") && !denied(&mut client, "read_file"));
    until("it is asked for again by its tag", || publisher.unchanged() > 1);
    let authorized = |head: &Head| head.header("authorization") == Some("Bearer t0ken");
    assert!(publisher.asked.lock().unwrap().iter().all(authorized));

    publisher.publish(bundle(dir.path(), "read_file", &signed));
    until("the new one decides", || !denied(&mut client, "echo"));
    let revision = gateway.revision();
    let wrong =
        ["--signing-key", "key", "--signing-alg", "HS256", "--key-id", "team", "--scope", "test"];
    for refused in [&[][..], &wrong] {
        let before = gateway.policy()["last_reload"].clone();
        publisher.publish(bundle(dir.path(), "write_file", refused));
        until("it is refused", || gateway.policy()["last_reload"] != before);
        assert_eq!(gateway.policy()["last_reload"]["result"], "error");
        assert_eq!(gateway.revision(), revision);
        assert!(denied(&mut client, "read_file") && !denied(&mut client, "write_file"));
    }

    publisher.publish(b"not a bundle".to_vec());
    let gateway = gateway.crash_and_restart();
    assert_eq!(gateway.revision(), revision, "the last good one is on disk");
    assert!(denied(&mut gateway.client(), "read_file"));
}

#[test]
fn a_bundle_in_a_file_is_watched_and_verified_by_its_public_key() {
    let upstream = Upstream::plain();
    let dir = tempfile::tempdir().unwrap();
    openssl(dir.path(), &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ec.pem"]);
    openssl(dir.path(), &["pkcs8", "-topk8", "-nocrypt", "-in", "ec.pem", "-out", "key.pem"]);
    openssl(dir.path(), &["ec", "-in", "ec.pem", "-pubout", "-out", "public.pem"]);
    let public = std::fs::read_to_string(dir.path().join("public.pem")).unwrap();
    let signed = ["--signing-key", "key.pem", "--signing-alg", "ES256", "--key-id", "team"];
    let file = dir.path().join("served.tar.gz");
    std::fs::write(&file, bundle(dir.path(), "echo", &signed)).unwrap();
    let section = json!({ "file": file.to_str().unwrap(), "public_keys": { "team": public } });
    let gateway = Gateway::start(config(&upstream, section.clone()));
    let mut client = gateway.client();
    assert!(denied(&mut client, "echo"));
    std::fs::write(&file, bundle(dir.path(), "read_file", &signed)).unwrap();
    until("the new one decides", || !denied(&mut client, "echo"));
    assert!(denied(&mut client, "read_file"));

    std::fs::write(&file, bundle(dir.path(), "echo", &[])).unwrap();
    let mut unsigned = Gateway::launch(config(&upstream, section));
    assert_eq!(unsigned.process.wait(), Some(2));
    assert!(unsigned.process.stderr().contains("sign"), "{}", unsigned.process.stderr());
}

#[test]
fn a_bundle_over_max_bytes_is_refused() {
    let upstream = Upstream::plain();
    let dir = tempfile::tempdir().unwrap();
    let noise: String = (0_u32..4_000)
        .map(|number| format!("# {:x}\n", number.wrapping_mul(2_654_435_761)))
        .collect();
    std::fs::create_dir(dir.path().join("source")).unwrap();
    std::fs::write(dir.path().join("source/noise.rego"), format!("package mcp.noise\n{noise}"))
        .unwrap();
    let publisher = Publisher::start(bundle(dir.path(), "echo", &[]));
    let section = json!({ "url": format!("http://{}/b", publisher.addr) });
    let with =
        |bytes: u64| config(&upstream, section.clone()).set("policy.bundle.max_bytes", bytes);
    assert!(denied(&mut Gateway::start(with(1 << 20)).client(), "echo"));
    let mut refused = Gateway::launch(with(2_048));
    assert_eq!(refused.process.wait(), Some(2));
    assert!(refused.process.stderr().contains("2048"), "{}", refused.process.stderr());
}

/// Serves the folder over TLS on the port that it is given.
const TLS: &str = "
import http.server, ssl, sys
server = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('cert.pem', 'tls.pem')
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
";

/// A child that ends with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().unwrap();
    }
}

#[test]
fn over_https_the_certificate_must_come_from_ca_file() {
    let upstream = Upstream::plain();
    let dir = tempfile::tempdir().unwrap();
    bundle(dir.path(), "echo", &[]);
    openssl(
        dir.path(),
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "tls.pem",
            "-out",
            "cert.pem",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ],
    );
    let port = free_port();
    let mut command = Command::new("python3");
    command.args(["-c", TLS, &port.to_string()]).current_dir(dir.path()).stderr(Stdio::null());
    let _serving = Serving(command.spawn().unwrap());
    until("it serves", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let url = format!("https://localhost:{port}/built.tar.gz");
    let ca = dir.path().join("cert.pem").to_str().unwrap().to_owned();
    let section = json!({ "url": url, "ca_file": ca });
    assert!(denied(&mut Gateway::start(config(&upstream, section)).client(), "echo"));
    let mut stranger = Gateway::launch(config(&upstream, json!({ "url": url })));
    assert_eq!(stranger.process.wait(), Some(2), "{}", stranger.process.stderr());
}

#[track_caller]
fn openssl(dir: &Path, args: &[&str]) {
    let output = Command::new("openssl").args(args).current_dir(dir).output();
    let output = output.expect("openssl is needed");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {told}");
}
