//! A server that is a child process, spoken to line by line (MCP "stdio").

mod child;
mod command;
mod lines;

pub(crate) use self::child::start;
pub(crate) use self::command::ServerCommand;
