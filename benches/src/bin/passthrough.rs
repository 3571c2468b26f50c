//! The bare hyper pass-through as a program: `passthrough --upstream 127.0.0.1:PORT`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it says where it listens")]

use std::net::SocketAddr;
use std::process::ExitCode;

use benches::{Error, bind, passthrough};
use clap::Parser;
use hyper::http::uri::Authority;

/// Passes HTTP on to an upstream and looks at nothing.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where requests go.
    #[arg(long, value_name = "HOST:PORT")]
    upstream: Authority,
}

fn main() -> ExitCode {
    let Err(error) = run(Arguments::parse());
    eprintln!("{error}");
    ExitCode::from(2)
}

fn run(arguments: Arguments) -> Result<std::convert::Infallible, Error> {
    let listener = bind(arguments.listen)?;
    let address = listener.local_addr().map_err(Error::io("read the address"))?;
    println!("listening on {address}");
    passthrough::serve(listener, arguments.upstream)
}
