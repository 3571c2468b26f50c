//! The demo server over Streamable HTTP, without sessions: JSON for one message, SSE for several.

use std::convert::Infallible;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::Server;

/// Serves `POST /mcp` on a port until the process is told to stop.
///
/// # Errors
///
/// The port takes no more connections.
pub async fn serve_http(server: Server, listener: TcpListener) -> std::io::Result<()> {
    axum::serve(listener, app(server))
        .with_graceful_shutdown(async {
            tokio::signal::ctrl_c().await.ok();
        })
        .await
}

/// The routes of the server.
pub(crate) fn app(server: Server) -> axum::Router {
    axum::Router::new().route("/mcp", post(answer)).with_state(server)
}

async fn answer(State(server): State<Server>, Json(message): Json<Value>) -> Response {
    if message.get("id").is_none() || message.get("method").is_none() {
        return StatusCode::ACCEPTED.into_response();
    }
    let (outlet, mut messages) = mpsc::channel(64);
    tokio::spawn(async move { server.answer(message, outlet).await });
    let Some(first) = messages.recv().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if first.get("method").is_none() {
        return Json(first).into_response();
    }
    let events =
        futures_util::stream::unfold((Some(first), messages), |(next, mut messages)| async move {
            let message = match next {
                Some(message) => message,
                None => messages.recv().await?,
            };
            let event = protocol::sse::encode_message(message.to_string().as_bytes());
            Some((Ok::<Bytes, Infallible>(event), (None, messages)))
        });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}
