//! What every test stands on: the real binary as a child process, a raw HTTP
//! client, MCP clients of both transports, and a scripted MCP server that
//! remembers every byte that reached it.
//!
//! Everything is blocking and on threads, so that a test reads from top to
//! bottom and nothing of the product's own runtime is trusted to judge it.

pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod console;
pub(crate) mod gateway;
pub(crate) mod http;
pub(crate) mod legacy;
pub(crate) mod modern;
pub(crate) mod python;
pub(crate) mod rows;
pub(crate) mod script;
pub(crate) mod stub;
pub(crate) mod upstream;
pub(crate) mod wait;
pub(crate) mod websocket;

pub(crate) use client::{Client, initialize_params};
pub(crate) use config::Config;
pub(crate) use gateway::{Gateway, Output, binary, run, run_in};
pub(crate) use http::{Conn, Response};
pub(crate) use legacy::LegacyClient;
pub(crate) use modern::Modern;
pub(crate) use rows::{Row, rows};
pub(crate) use stub::{Gate, Stub};
pub(crate) use upstream::{Kind, Upstream};
pub(crate) use wait::{free_port, until, until_some};
pub(crate) use websocket::WsClient;
