//! Stateless clients have one session in common, and nothing of one may reach another.

use std::time::Duration;

use domain::{Answer, ErrorKind};
use futures_util::StreamExt;
use tokio::time::Instant;

use super::fixture::*;
use super::stateless::{call, headers, request};
use crate::HttpTicket;

fn call_headers() -> HttpTicket {
    headers("tools/call", Some("read_file"))
}

#[tokio::test]
async fn a_server_asks_nothing_of_stateless_clients() {
    let gateway = Setup::default()
        .streaming(&[
            r#"{"jsonrpc":"2.0","id":"s-1","method":"sampling/createMessage","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":77,"result":{}}"#,
        ])
        .start();
    let (_, answer) = read(gateway.ask(&call(), call_headers()).await).await;
    assert!(!answer.contains("sampling"), "{answer}");
    let refused = gateway.server.state().refused.clone();
    assert_eq!(refused, [(r#""s-1""#.to_owned(), ErrorKind::UpstreamError)]);
    assert_eq!(
        gateway.rows(),
        ["server_request allow held upstream_error", "request allow forwarded -"]
    );
}

#[tokio::test]
async fn one_client_cannot_answer_what_another_was_asked() {
    let question = r#"{"jsonrpc":"2.0","id":9,"method":"sampling/createMessage","params":{}}"#;
    let gateway = Setup::default()
        .server(move |_, _| {
            let first = futures_util::stream::iter([Ok(message(question))]);
            now(Answer::Stream(first.chain(futures_util::stream::pending()).boxed()))
        })
        .start();
    let asked = gateway.ask(&call(), call_headers()).await;
    let crate::ReplyBody::Events(mut events) = asked.body else { panic!("no stream") };
    assert!(tokio::time::timeout(Duration::from_millis(20), events.next()).await.is_err());
    gateway.server.state().sent.clear();
    for id in 0..4 {
        let guess = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
        gateway.ask(&guess, headers("", None)).await;
    }
    assert_eq!(gateway.server.state().sent, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn one_client_does_not_hold_up_another_by_what_it_calls_its_request() {
    let gateway = Setup::default()
        .raw_server(|message, _| match message.name() {
            Some(_) => now(Answer::Message(response("{}"))),
            None => Box::pin(std::future::pending()),
        })
        .start();
    let method = "notifications/initialized";
    let (hanging, ticket) = (request(method, ""), headers(method, None));
    let received = gateway.receive(&hanging, crate::Ticket::Http(ticket)).await;
    let Ok(received) = received else { panic!("refused") };
    let router = std::sync::Arc::clone(&gateway.router);
    let hanging = tokio::spawn(async move { router.handle(received).await });
    tokio::task::yield_now().await;
    let start = Instant::now();
    assert_eq!(read(gateway.ask(&call(), call_headers()).await).await.0, 200);
    assert_eq!(start.elapsed(), Duration::ZERO);
    hanging.abort();
    assert!(hanging.await.is_err_and(|error| error.is_cancelled()));
}
