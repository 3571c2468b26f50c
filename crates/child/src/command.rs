//! What is started: an argument vector, never a line for a shell, in an environment of its own.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process;

use crate::Error;
use crate::children::{Mark, VARIABLE};

/// A program, its arguments and its environment.
pub struct Command {
    program: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    directory: Option<PathBuf>,
    /// Where a program without a slash is looked for.
    path: String,
    /// The mark of this process, when it is a child of another that marks.
    outer: Option<String>,
}

impl Command {
    /// Takes a program and its arguments; whether the program exists is seen when it is needed. The
    /// child gets `environment` and nothing of ours, but when there is no `PATH` in it, the program
    /// is looked for on ours.
    ///
    /// # Errors
    ///
    /// There is no program, its path is relative, or a part contains NUL.
    pub fn new(
        command: &[String],
        environment: BTreeMap<String, String>,
        ours: &BTreeMap<String, String>,
        directory: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let (program, arguments) = command.split_first().ok_or(Error::NoProgram)?;
        if command.iter().any(|part| part.contains('\0')) {
            return Err(Error::Nul);
        }
        if program.contains('/') && !program.starts_with('/') {
            return Err(Error::Relative);
        }
        let path = environment.get("PATH").or_else(|| ours.get("PATH"));
        Ok(Self {
            program: program.clone(),
            arguments: arguments.to_vec(),
            path: path.cloned().unwrap_or_default(),
            environment,
            directory,
            outer: ours.get(VARIABLE).cloned(),
        })
    }

    /// Looks whether there is something to start.
    ///
    /// # Errors
    ///
    /// The program is not found, or not executable.
    pub fn check(&self) -> Result<(), Error> {
        self.resolve().map(drop)
    }

    /// Starts it, with that mark.
    ///
    /// # Errors
    ///
    /// The program cannot be found, or not be started.
    pub(crate) fn spawn(&self, mark: &Mark) -> Result<process::Child, Error> {
        let mut command = process::Command::new(self.resolve()?);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .env(VARIABLE, mark.beside(self.outer.as_deref()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.spawn().map_err(|error| Error::Start { program: self.program.clone(), error })
    }

    fn resolve(&self) -> Result<PathBuf, Error> {
        let program = &self.program;
        if program.starts_with('/') {
            let path = PathBuf::from(program);
            return if is_executable(&path) {
                Ok(path)
            } else {
                Err(Error::NotExecutable(program.clone()))
            };
        }
        let directories = self.path.split(':').filter(|directory| directory.starts_with('/'));
        let mut candidates = directories.map(|directory| Path::new(directory).join(program));
        candidates.find(|path| is_executable(path)).ok_or_else(|| Error::NotFound(program.clone()))
    }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests;
