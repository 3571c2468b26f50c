//! What is started: an argument vector, never a line for a shell, in an environment of its own.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::{Config, Error};

/// The program of a server, its arguments and its environment.
pub(crate) struct ServerCommand {
    program: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    directory: Option<PathBuf>,
    /// Where a program without a slash is looked for.
    path: String,
}

impl ServerCommand {
    /// Reads the configuration; whether the program exists is seen when it is needed.
    pub(crate) fn new(config: &Config, gateway: &BTreeMap<String, String>) -> Result<Self, Error> {
        let (program, arguments) = config.command.split_first().ok_or(Error::NoServer)?;
        let invalid = |what| Err(Error::Invalid { key: "upstream.command", what });
        if config.command.iter().any(|part| part.contains('\0')) {
            return invalid("it contains NUL");
        }
        if program.contains('/') && !program.starts_with('/') {
            return invalid(
                "write the program as an absolute path, or as a name to find on `PATH`",
            );
        }
        let inherited = config.env_allow.iter().filter_map(|name| {
            let value = gateway.get(name)?;
            Some((name.clone(), value.clone()))
        });
        let mut environment: BTreeMap<String, String> = inherited.collect();
        let own = config.env.iter().map(|(name, value)| (name.clone(), value.expose().clone()));
        environment.extend(own);
        let path = environment.get("PATH").or_else(|| gateway.get("PATH"));
        Ok(Self {
            program: program.clone(),
            arguments: arguments.to_vec(),
            path: path.cloned().unwrap_or_default(),
            environment,
            directory: config.cwd.clone(),
        })
    }

    /// Whether there is something to start.
    ///
    /// # Errors
    ///
    /// The operator's text when there is not.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.resolve().map(drop)
    }

    /// The program's name, for logs.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// The command as the operating system takes it.
    ///
    /// # Errors
    ///
    /// The operator's text when the program cannot be found.
    pub(crate) fn prepare(&self) -> Result<Command, String> {
        let mut command = Command::new(self.resolve()?);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        Ok(command)
    }

    fn resolve(&self) -> Result<PathBuf, String> {
        let program = &self.program;
        if program.starts_with('/') {
            let path = PathBuf::from(program);
            return if is_executable(&path) {
                Ok(path)
            } else {
                Err(format!("`{program}` of `upstream.command` is not a file that can be executed"))
            };
        }
        let directories = self.path.split(':').filter(|directory| directory.starts_with('/'));
        let mut candidates = directories.map(|directory| Path::new(directory).join(program));
        candidates
            .find(|path| is_executable(path))
            .ok_or_else(|| format!("`{program}` of `upstream.command` was not found on PATH"))
    }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
