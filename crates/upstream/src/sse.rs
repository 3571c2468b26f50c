//! The HTTP+SSE client (MCP 2024-11-05, "HTTP with SSE"): an event stream in, POSTs out.

use std::sync::Arc;

use domain::Failure;
use http::HeaderMap;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::duplex::{End, Out, Wire};
use crate::failure;
use crate::http::{EventReader, HttpClient, Media, get_events};
use crate::session::Miss;
use crate::target::Target;

/// Opens an event stream and reads it in the background, once it has said where to POST.
///
/// # Errors
///
/// A miss when there is no event stream at the address, a failure otherwise.
pub(crate) async fn open(
    client: &Arc<HttpClient>,
    target: &Target,
    end: &Arc<End>,
    stop: CancellationToken,
) -> Result<Wire, Miss> {
    let limit = end.shared().timeout();
    let opened = timeout(limit, announced(client, target)).await;
    let late = |_| failure::timeout(limit, end.shared().name());
    let (mut reader, endpoint) = opened.map_err(late)??;
    let (reporting, over) = (Arc::clone(end), stop.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = over.cancelled() => {}
            failure = read_all(&mut reader, &reporting) => {
                reporting.shared().lost(&failure);
                reporting.died(failure);
            }
        }
    });
    Ok(Wire::new(end, Out::Posts(Arc::clone(client), endpoint), stop))
}

async fn announced(
    client: &Arc<HttpClient>,
    target: &Target,
) -> Result<(EventReader, Target), Miss> {
    let response = client.send(target, || get_events(target, HeaderMap::new())).await?;
    let status = response.status();
    if !status.is_success() {
        return Err(Miss::of_status(status, target));
    }
    if Media::of(response.headers()) != Media::Events {
        let detail = format!("GET {} brought no event stream", target.shown());
        return Err(Miss::NotHere(failure::protocol(detail)));
    }
    let mut reader = EventReader::new(response.into_body(), client.max_message());
    while let Some(event) = reader.next().await {
        let event = event?;
        if event.name() == "endpoint" {
            let reference = String::from_utf8_lossy(&event.data);
            let endpoint = target.resolve(reference.trim()).ok_or_else(|| {
                let shown = target.shown();
                failure::protocol(format!("the endpoint that {shown} names is on another host"))
            })?;
            return Ok((reader, endpoint));
        }
    }
    Err(failure::broken(format!("{} ended before it named an endpoint", target.shown())).into())
}

/// Reads until the stream ends, and says why it did.
async fn read_all(reader: &mut EventReader, end: &End) -> Failure {
    while let Some(event) = reader.next().await {
        match event {
            Ok(event) if event.name() == "message" => end.receive(event.data).await,
            Ok(_) => {}
            Err(failure) => return failure,
        }
    }
    failure::broken("the server closed the event stream")
}
