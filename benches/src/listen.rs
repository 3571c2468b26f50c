//! Listening on loopback and serving HTTP/1.1 on one thread.

use std::convert::Infallible;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};

use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use crate::Error;

/// Listens on a loopback address; port 0 takes a free one.
///
/// # Errors
/// When the address is not a loopback address, or is taken.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    if !address.ip().is_loopback() {
        return Err(Error::Setup(format!("`{address}` is not on loopback: use 127.0.0.1")));
    }
    TcpListener::bind(address).map_err(Error::io(format!("listen on `{address}`")))
}

/// Answers every request on `listener` with `answer`, on this thread, until the process ends.
pub(crate) fn serve<S, F, B>(listener: TcpListener, answer: S) -> Result<Infallible, Error>
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Error::io("start the runtime"))?.block_on(async move {
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| tokio::net::TcpListener::from_std(listener))
            .map_err(Error::io("wait for connections"))?;
        loop {
            let (stream, _) = listener.accept().await.map_err(Error::io("accept a connection"))?;
            stream.set_nodelay(true).map_err(Error::io("set TCP_NODELAY"))?;
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer.clone()));
            // How one connection ends is the client's affair: it counts what it misses.
            tokio::spawn(connection);
        }
    })
}
