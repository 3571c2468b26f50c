//! Child processes: commands that must succeed, and servers that must be gone afterwards.
//!
//! A [`Server`] ends when it is dropped, so also when a task fails half-way. It stays in our process group, so that
//! Ctrl-C reaches it as well.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PAUSE: Duration = Duration::from_millis(50);
const START: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(30);

/// Runs a command to its end, its output on ours.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub(crate) fn must(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// Cargo, at the root of the work tree.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(crate::tree::root());
    command
}

/// A command as one would type it, short enough for a message.
fn shown(command: &Command) -> String {
    let mut line = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy()
        .into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

/// A loopback port that nobody listened on a moment ago.
///
/// # Errors
/// When the system has none.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// A running server. Dropping it ends it.
pub(crate) struct Server {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a server and waits until it listens on `port`. Its output goes to `<folder>/<name>.log`.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not listen in time; the message shows the end of its log.
    pub(crate) fn start(
        name: &str,
        command: &mut Command,
        port: u16,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let out =
            File::create(&log).with_context(|| format!("cannot write `{}`", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot start `{}`", shown(command)))?;
        let mut server = Self { name: name.to_owned(), child, log };
        server.wait_listening(port)?;
        Ok(server)
    }

    fn wait_listening(&mut self, port: u16) -> anyhow::Result<()> {
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        let mut waited = Duration::ZERO;
        while !listens() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once ({status}):\n{}", self.name, self.log_end());
            }
            if waited >= START {
                bail!("{} does not listen on port {port}:\n{}", self.name, self.log_end());
            }
            std::thread::sleep(PAUSE);
            waited += PAUSE;
        }
        Ok(())
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The last lines of what it wrote.
    pub(crate) fn log_end(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }

    /// Asks it to end, as an operator would, and tells how it did.
    ///
    /// # Errors
    /// When it does not end within the grace.
    pub(crate) fn stop(mut self) -> anyhow::Result<ExitStatus> {
        let id = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(id, Signal::SIGTERM).with_context(|| format!("cannot signal {}", self.name))?;
        let mut waited = Duration::ZERO;
        while waited < GRACE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(PAUSE);
            waited += PAUSE;
        }
        bail!("{} still runs {GRACE:?} after SIGTERM:\n{}", self.name, self.log_end())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Killing one that has already ended, and was waited for, does nothing.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("{} may still run: {error}", self.name);
        }
    }
}
