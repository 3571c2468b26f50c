//! The floor that a gateway is compared with: hyper in, pooled hyper client out, bodies streamed,
//! nothing looked at.

use std::convert::Infallible;
use std::net::TcpListener;

use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::http::uri::{Authority, Scheme};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::{Error, listen};

type Pool = Client<HttpConnector, Incoming>;
type Reply = Response<Either<Incoming, Empty<Bytes>>>;

/// Passes every request on to `upstream` until the process ends, on this thread.
///
/// # Errors
/// When the listener fails.
pub fn serve(listener: TcpListener, upstream: Authority) -> Result<Infallible, Error> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let pool: Pool = Client::builder(TokioExecutor::new()).build(connector);
    listen::serve(listener, move |request| {
        let (pool, upstream) = (pool.clone(), upstream.clone());
        async move { Ok(pass(&pool, upstream, request).await) }
    })
}

async fn pass(pool: &Pool, upstream: Authority, mut request: Request<Incoming>) -> Reply {
    let mut target = std::mem::take(request.uri_mut()).into_parts();
    target.scheme = Some(Scheme::HTTP);
    target.authority = Some(upstream);
    let answer = match Uri::from_parts(target) {
        Ok(uri) => {
            *request.uri_mut() = uri;
            pool.request(request).await.ok()
        }
        Err(_) => None,
    };
    answer.map_or_else(bad_gateway, |response| response.map(Either::Left))
}

fn bad_gateway() -> Reply {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
