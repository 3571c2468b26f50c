//! The fake MCP server as a program: `/mcp` (Streamable HTTP), `/sse` and `/messages` (HTTP+SSE), or
//! standard input and output.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it says where it listens")]

use std::net::SocketAddr;
use std::process::ExitCode;

use benches::fake_upstream::{self, Behaviour};
use benches::{Error, bind};
use clap::Parser;

/// Serves the tool `echo` over MCP, fast.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Speak over standard input and output instead, until the input ends.
    #[arg(long, conflicts_with = "listen")]
    stdio: bool,
    #[command(flatten)]
    behaviour: Behaviour,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Error> {
    if arguments.stdio {
        return fake_upstream::serve_stdio(arguments.behaviour);
    }
    let listener = bind(arguments.listen)?;
    let address = listener.local_addr().map_err(Error::io("read the address"))?;
    println!("listening on {address}");
    fake_upstream::serve(listener, arguments.behaviour).map(|never| match never {})
}
