//! The binary under test as a child process, in a process group of its own
//! that does not outlive the test.

use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use super::wait::{PATIENCE, now, until};
use super::{Client, Config, Conn, LegacyClient, Response, Row, rows};

/// Where the binary is.
pub(crate) fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_mcp-proxy"))
}

/// What a command printed, and its exit code (-1 when a signal ended it).
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the binary to its end in the current folder.
#[track_caller]
pub(crate) fn run(args: &[&str]) -> Output {
    run_in(Path::new("."), args, &[])
}

/// Runs the binary to its end; it is killed, and the test fails, when it does not come to one.
#[track_caller]
pub(crate) fn run_in(dir: &Path, args: &[&str], env: &[(String, String)]) -> Output {
    let mut process = Process::spawn(dir, args, env);
    let code =
        process.wait().unwrap_or_else(|| panic!("{args:?} did not end: {}", process.stderr()));
    Output { code, stdout: process.stdout(), stderr: process.stderr() }
}

/// A child whose output is collected while it runs.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    out: Arc<Mutex<Vec<u8>>>,
    err: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    #[track_caller]
    pub(crate) fn spawn(dir: &Path, args: &[&str], env: &[(String, String)]) -> Self {
        Self::of(Command::new(binary()), dir, args, env)
    }

    /// A child that is the binary in the end, whatever `command` does before.
    #[track_caller]
    fn of(mut command: Command, dir: &Path, args: &[&str], env: &[(String, String)]) -> Self {
        command.args(args).current_dir(dir).stdin(Stdio::null()).process_group(0);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MCP_") {
                command.env_remove(name);
            }
        }
        command.envs(env.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn().expect("the binary does not start");
        let (out, err) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().unwrap(), Arc::clone(&out)),
            collect(child.stderr.take().unwrap(), Arc::clone(&err)),
        ];
        Self { child, out, err, readers }
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.out.lock().unwrap()).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.err.lock().unwrap()).into_owned()
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// The exit code, or `None` when the process had to be killed after the deadline.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let deadline = now() + PATIENCE;
        while now() < deadline {
            if let Some(status) = self.ended() {
                for reader in self.readers.drain(..) {
                    reader.join().unwrap();
                }
                return Some(status.code().unwrap_or(-1));
            }
            std::thread::sleep(std::time::Duration::from_millis(3));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        // Fails when the whole group is gone already, which is what is wanted.
        killpg(group, Signal::SIGKILL).unwrap_or_default();
        drop(self.child.wait());
    }
}

fn collect(mut from: impl Read + Send + 'static, into: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read) = from.read(&mut buffer) {
            if read == 0 {
                break;
            }
            into.lock().unwrap().extend_from_slice(&buffer[..read]);
        }
    })
}

/// What is left of a gateway that was stopped.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) config: Config,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn rows(&self) -> Vec<Row> {
        rows(&self.config.db())
    }
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) process: Process,
    pub(crate) config: Config,
}

impl Gateway {
    /// Starts the gateway and waits until `/ready` says 200.
    #[track_caller]
    pub(crate) fn start(config: Config) -> Self {
        Self::launch(config).wait_ready()
    }

    /// Starts the gateway where at most `soft` files may be open unless it asks for more, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start_with_open_files(config: Config, soft: u32) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!(r#"ulimit -S -n {soft} && exec "$@""#), "sh"]).arg(binary());
        Self::launch_by(shell, config).wait_ready()
    }

    #[track_caller]
    fn wait_ready(self) -> Self {
        let mut gateway = self;
        until("the gateway is ready", || {
            if let Some(status) = gateway.process.ended() {
                panic!("the gateway ended with {status}: {}", gateway.process.stderr());
            }
            gateway.ready() == Some(200)
        });
        gateway
    }

    /// Starts the gateway and waits only until it accepts connections.
    #[track_caller]
    pub(crate) fn start_unready(config: Config) -> Self {
        let mut gateway = Self::launch(config);
        until("the gateway listens", || {
            if let Some(status) = gateway.process.ended() {
                panic!("the gateway ended with {status}: {}", gateway.process.stderr());
            }
            std::net::TcpStream::connect(gateway.addr()).is_ok()
        });
        gateway
    }

    #[track_caller]
    pub(crate) fn launch(config: Config) -> Self {
        Self::launch_by(Command::new(binary()), config)
    }

    #[track_caller]
    fn launch_by(command: Command, config: Config) -> Self {
        let file = config.write();
        let args = ["run", "--config", file.to_str().unwrap()];
        let process = Process::of(command, config.root(), &args, &config.env);
        Self { process, config }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.config.port))
    }

    /// The status of `/ready`; `None` while nobody listens there.
    pub(crate) fn ready(&self) -> Option<u16> {
        probe(self.config.health, "/ready").map(|answer| answer.status())
    }

    #[track_caller]
    pub(crate) fn probe(&self, path: &str) -> Response {
        probe(self.config.health, path).expect("nobody listens at the health port")
    }

    /// The whole text of the metrics page.
    #[track_caller]
    pub(crate) fn scrape(&self) -> String {
        let answer =
            probe(self.config.metrics, "/metrics").expect("nobody listens at the metrics port");
        assert_eq!(answer.status(), 200);
        answer.text()
    }

    /// The page of operators on which policy decides; the gateway must have been configured with [`Config::operated`].
    #[track_caller]
    pub(crate) fn policy(&self) -> Value {
        self.probe("/api/v1/policy").json()
    }

    /// Asks for the policies to be loaded again, as an operator does; status and what became of it.
    #[track_caller]
    pub(crate) fn reload(&self) -> (u16, Value) {
        let addr = SocketAddr::from(([127, 0, 0, 1], self.config.health));
        let headers = [("Content-Type", "application/json")];
        let answer = Conn::open(addr).request("POST", "/api/v1/policy/reload", &headers, b"{}");
        (answer.status(), answer.json())
    }

    /// The revision of the policy in force.
    #[track_caller]
    pub(crate) fn revision(&self) -> String {
        self.policy()["revision"].as_str().expect("no revision").to_owned()
    }

    /// How many rows of a method are in the log by now.
    #[track_caller]
    pub(crate) fn recorded(&self, method: &str) -> usize {
        let found = rows(&self.config.db());
        found.iter().filter(|row| row.text("method") == method).count()
    }

    /// Runs a command on the configuration of this gateway, and demands that it succeeds.
    #[track_caller]
    pub(crate) fn operate(&self, args: &[&str]) -> String {
        let output = self.try_operate(args);
        assert_eq!(output.code, 0, "{args:?}: {}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// Runs a command on the configuration of this gateway.
    #[track_caller]
    pub(crate) fn try_operate(&self, args: &[&str]) -> Output {
        let file = self.config.at("proxy.yaml");
        let args = [args, &["--config", file.to_str().unwrap()]].concat();
        run_in(self.config.root(), &args, &[])
    }

    /// A client that has done the handshake of the newest revision with sessions.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        let mut client = Client::new(self.addr());
        client.handshake();
        client
    }

    /// A client of the 2024-11-05 transport that has done the handshake.
    #[track_caller]
    pub(crate) fn legacy_client(&self) -> LegacyClient {
        let mut client = LegacyClient::open(self.addr(), "/sse");
        client.handshake();
        client
    }

    /// Sends SIGTERM and waits for the end.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Finished {
        self.process.signal(Signal::SIGTERM);
        let code = self.process.wait();
        let (stdout, stderr) = (self.process.stdout(), self.process.stderr());
        let code = code.unwrap_or_else(|| panic!("SIGTERM did not end the gateway: {stderr}"));
        Finished { config: self.config, code, stdout, stderr }
    }

    /// Stops, demands a clean end, and reads the whole log.
    #[track_caller]
    pub(crate) fn finish(self) -> Vec<Row> {
        let finished = self.stop();
        assert_eq!(finished.code, 0, "{}", finished.stderr);
        finished.rows()
    }

    /// Ends the process without a chance to clean up, and starts a new one on the same files.
    #[track_caller]
    pub(crate) fn crash_and_restart(mut self) -> Self {
        self.process.signal(Signal::SIGKILL);
        self.process.wait();
        Self::start(self.config)
    }
}

fn probe(port: u16, path: &str) -> Option<Response> {
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    let mut conn = Conn::over(std::net::TcpStream::connect(addr).ok()?);
    conn.send("GET", path, &[("Connection", "close")], b"").ok()?;
    conn.read_response().ok()
}

/// The value of one sample of a metrics page, labels in any order; `None` when it is not there.
pub(crate) fn sample(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let found: Vec<f64> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (family, given) = series.split_once('{').unwrap_or((series, ""));
            let fits =
                |(key, wanted): &(&str, &str)| given.contains(&format!("{key}=\"{wanted}\""));
            (family == name && labels.iter().all(fits)).then(|| value.parse().ok())?
        })
        .collect();
    (!found.is_empty()).then(|| found.iter().sum())
}

/// The error object of an answer, with the members that every refusal has.
#[track_caller]
pub(crate) fn error_of(answer: &Value) -> (i64, String) {
    let code = answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("not an error: {answer}"));
    (code, answer["error"]["data"]["kind"].as_str().unwrap_or_default().to_owned())
}
