//! The demo server over stdio: one JSON message a line.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use crate::Server;

/// Serves over standard input and output until the input ends; answers under way are written before it returns.
///
/// # Errors
///
/// Standard input cannot be read.
pub async fn serve_stdio(server: Server) -> std::io::Result<()> {
    let (outlet, mut messages) = mpsc::channel::<Value>(64);
    let writer = tokio::spawn(async move {
        let mut stdout = tokio::io::stdout();
        while let Some(message) = messages.recv().await {
            stdout.write_all(format!("{message}\n").as_bytes()).await?;
            stdout.flush().await?;
        }
        std::io::Result::Ok(())
    });
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line) {
            Ok(message) => {
                let (server, outlet) = (server.clone(), outlet.clone());
                tokio::spawn(async move { server.answer(message, outlet).await });
            }
            Err(error) => {
                let error = json!({ "code": -32700, "message": error.to_string() });
                outlet.send(json!({ "jsonrpc": "2.0", "id": null, "error": error })).await.ok();
            }
        }
    }
    drop(outlet);
    // The reader of a pipe that was closed is gone: there is nobody left to tell.
    writer.await?.ok();
    Ok(())
}
