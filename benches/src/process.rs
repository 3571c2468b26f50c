//! The processes of a comparison: the tools beside this program, and the gateway with its settings.
//!
//! Every process dies with its handle, so that nothing keeps running after a failed comparison.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::load::now;
use crate::{Error, cpu};

/// How long a process may take to accept connections, and to end when asked to.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// A running server.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Option<PathBuf>,
    /// Where it listens.
    pub address: SocketAddr,
}

/// How the gateway is set up.
#[derive(Clone, Copy, Debug)]
pub struct Gateway<'a> {
    /// The program `mcp-proxy`.
    pub program: &'a Path,
    /// An existing folder of its own for its configuration, database and log.
    pub folder: &'a Path,
    /// The server behind it.
    pub upstream: &'a Upstream,
    /// The policy folder when policy, audit and metrics are on; `None` turns all three off.
    pub policies: Option<&'a Path>,
    /// Connections and sessions that it has room for.
    pub clients: usize,
}

/// A server for the gateway.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// It listens here, at `/mcp`.
    Http(SocketAddr),
    /// The gateway starts the tool of this package with these arguments and talks to it over pipes.
    Stdio(&'static str, Vec<String>),
}

impl Process {
    /// Starts one of this package's servers, which lies beside the running program.
    ///
    /// # Errors
    /// When it is missing or does not say where it listens.
    pub fn tool(name: &str, arguments: &[String]) -> Result<Self, Error> {
        let program = tool(name)?;
        let mut child = Command::new(&program)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Error::io(format!("start `{}`", program.display())))?;
        let mut line = String::new();
        let read = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        let mut process = Self {
            name: name.to_owned(),
            child,
            log: None,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let address = read.and_then(|_| line.trim().strip_prefix("listening on ")?.parse().ok());
        process.address = address
            .ok_or_else(|| Error::Setup(format!("`{name}` did not say where it listens")))?;
        Ok(process)
    }

    /// Starts the gateway and waits until it accepts connections.
    ///
    /// # Errors
    /// When it does not start; the error holds its log.
    pub fn gateway(gateway: &Gateway<'_>) -> Result<Self, Error> {
        let address = free_address()?;
        let write = |name: &str, text: &str| {
            let path = gateway.folder.join(name);
            fs::write(&path, text).map_err(Error::io(format!("write `{}`", path.display())))?;
            Ok(path)
        };
        let settings = settings(gateway, address, free_address()?.port())?;
        let config = write("proxy.yaml", &format!("{settings:#}\n"))?;
        let log = write("log", "")?;
        let output = || File::options().append(true).open(&log).map(Stdio::from);
        let spawn = || {
            Command::new(gateway.program)
                .arg("run")
                .arg("--config")
                .arg(&config)
                .current_dir(gateway.folder)
                // No `MCP_*` variable of the caller may change what is measured.
                .env_clear()
                .stdin(Stdio::null())
                .stdout(output()?)
                .stderr(output()?)
                .spawn()
        };
        let child = spawn().map_err(Error::io(format!("start `{}`", gateway.program.display())))?;
        let mut process = Self { name: "mcp-proxy".to_owned(), child, log: Some(log), address };
        process.until("accept connections", |process| match process.ended()? {
            Some(status) => Err(process.failure(&format!("ended with {status}"))),
            None => Ok(TcpStream::connect(process.address).ok()),
        })?;
        Ok(process)
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// How many processes it has started that still run, and theirs.
    pub fn descendants(&self) -> usize {
        cpu::family(self.pid()).len() - 1
    }

    /// Asks the process to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it is still there after half a minute.
    pub fn stop(mut self) -> Result<ExitStatus, Error> {
        kill(Pid::from_raw(self.pid()), Signal::SIGTERM)
            .map_err(|errno| Error::io(format!("stop `{}`", self.name))(errno.into()))?;
        self.until("end after SIGTERM", Self::ended)
    }

    /// Asks `step` again and again until it has a value.
    fn until<T>(
        &mut self,
        what: &str,
        step: impl Fn(&mut Self) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        let deadline = now() + PATIENCE;
        while now() < deadline {
            if let Some(value) = step(self)? {
                return Ok(value);
            }
            std::thread::sleep(POLL);
        }
        Err(self.failure(&format!("did not {what} in time")))
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.try_wait().map_err(Error::io(format!("wait for `{}`", self.name)))
    }

    fn failure(&self, what: &str) -> Error {
        let log = self.log.as_ref().and_then(|log| fs::read_to_string(log).ok());
        Error::Setup(format!("`{}` {what}\n{}", self.name, log.unwrap_or_default().trim_end()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either may fail only because the process has ended already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where one of this package's programs lies: beside the running one.
fn tool(name: &str) -> Result<PathBuf, Error> {
    Ok(std::env::current_exe().map_err(Error::io("find this program"))?.with_file_name(name))
}

/// The gateway's configuration, as JSON, which is YAML.
fn settings(
    gateway: &Gateway<'_>,
    address: SocketAddr,
    metrics: u16,
) -> Result<serde_json::Value, Error> {
    let (policy, audit, metrics) = match gateway.policies {
        Some(policies) => (
            json!({ "enabled": true, "mode": "enforce", "policy_dir": policies }),
            json!({ "enabled": true, "db_path": gateway.folder.join("audit.db") }),
            json!({ "enabled": true, "port": metrics }),
        ),
        None => {
            let off = json!({ "enabled": false });
            (off.clone(), off.clone(), off)
        }
    };
    let upstream = match gateway.upstream {
        Upstream::Http(address) => {
            json!({ "url": format!("http://{address}/mcp"), "transport": "http" })
        }
        Upstream::Stdio(name, arguments) => {
            let program = tool(name)?.display().to_string();
            let command: Vec<_> = std::iter::once(&program).chain(arguments).collect();
            json!({ "command": command, "transport": "stdio" })
        }
    };
    Ok(json!({
        "server": {
            "listen": { "address": address.ip(), "port": address.port() },
            "max_connections": gateway.clients,
        },
        "session": { "max_sessions": gateway.clients },
        "upstream": upstream,
        "agent": { "capabilities": ["*"] },
        "policy": policy,
        "audit": audit,
        "metrics": metrics,
    }))
}

/// A loopback address that was free a moment ago.
fn free_address() -> Result<SocketAddr, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(Error::io("find a free port"))
}
