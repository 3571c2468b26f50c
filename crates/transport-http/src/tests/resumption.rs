//! Clients that lose a stream and come back for the rest.

use protocol::Message;
use protocol::sse::{Decoder, Event};
use testkit::ports::{ScriptedUpstream, result};
use tokio::io::DuplexStream;

use crate::Config;
use crate::fixture::{CALL, Client, Gateway, Story, bare, in_session, post, within};

const RESPONSE: &str = r#"{"jsonrpc":"2.0","id":"a","result":{"x":1}}"#;

fn note(number: usize) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"n":{number}}}}}"#)
}

/// An event stream as a client reads it.
struct Reader {
    client: Client<DuplexStream>,
    decoder: Decoder,
}

impl Reader {
    async fn open(mut client: Client<DuplexStream>, request: &str) -> Self {
        client.send(request).await;
        let head = within(client.head()).await;
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        assert_eq!(head.header("x-accel-buffering"), Some("no"));
        Self { client, decoder: Decoder::new(1 << 20) }
    }

    /// The next message; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(event) = self.decoder.next() {
                let Event { data, .. } = event.unwrap();
                if !data.is_empty() {
                    return Some(String::from_utf8(data.to_vec()).unwrap());
                }
                continue;
            }
            let chunk = within(self.client.chunk()).await?;
            self.decoder.push(chunk.as_bytes());
        }
    }

    /// The id to come back for, once there is one.
    async fn id(&mut self) -> String {
        while self.decoder.last_event_id().is_none() {
            let chunk = within(self.client.chunk()).await.unwrap();
            self.decoder.push(chunk.as_bytes());
            let primer = self.decoder.next().unwrap().unwrap();
            assert!(primer.data.is_empty(), "what comes first has no message");
        }
        self.decoder.last_event_id().unwrap().to_owned()
    }
}

fn get(id: &str, last: Option<&str>) -> String {
    let last = last.map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
    bare("GET /mcp", &format!("Accept: text/event-stream\r\nMcp-Session-Id: {id}\r\n{last}"))
}

#[tokio::test(start_paused = true)]
async fn an_answer_goes_on_where_it_broke_off() {
    let story = Story::new();
    let gateway = Gateway::new(&Config::default(), story.upstream.clone());
    let (client, id) = gateway.session().await;
    let mut reader = Reader::open(client, &post(&in_session(&id), CALL)).await;
    let primer = reader.id().await;
    assert_eq!(reader.decoder.retry(), Some(1000));
    story.tell(&note(1)).await;
    assert_eq!(reader.next().await, Some(note(1)));
    let last = reader.id().await;
    drop(reader);

    story.tell(&note(2)).await;
    let mut reader = Reader::open(gateway.connect(), &get(&id, Some(&last))).await;
    assert_eq!(reader.next().await, Some(note(2)), "what was missed");
    story.tell(&note(3)).await;
    assert_eq!(reader.next().await, Some(note(3)), "what comes while it reads");
    // The last of two that come back gets the rest.
    let mut second = Reader::open(gateway.connect(), &get(&id, Some(&last))).await;
    assert_eq!(reader.next().await, None);
    story.tell(RESPONSE).await;
    for message in [&note(2), &note(3), RESPONSE] {
        assert_eq!(second.next().await.as_deref(), Some(message));
    }
    let end = second.id().await;
    assert_eq!(second.next().await, None, "the answer is complete");

    let mut all = Reader::open(gateway.connect(), &get(&id, Some(&primer))).await;
    for message in [&note(1), &note(2), &note(3), RESPONSE] {
        assert_eq!(all.next().await.as_deref(), Some(message));
    }
    let nothing = gateway.connect().ask(&get(&id, Some(&end))).await;
    assert_eq!((nothing.status, nothing.body.as_str()), (204, ""), "nothing is left to come for");
}

#[tokio::test(start_paused = true)]
async fn the_first_event_has_a_message_before_2025_11_25_and_no_id_before_2025_03_26() {
    for (version, named, primed) in [
        ("2024-11-05", false, false),
        ("2025-03-26", true, false),
        ("2025-06-18", true, false),
        ("2025-11-25", true, true),
    ] {
        let story = Story::new();
        let gateway = Gateway::new(&Config::default(), story.upstream.clone());
        let (mut client, id) = gateway.session_of(version).await;
        client.send(&post(&in_session(&id), CALL)).await;
        story.tell(&note(1)).await;
        within(client.head()).await;
        let first = within(client.chunk()).await.unwrap();
        assert_eq!(first.contains("id: "), named, "{version}: {first}");
        assert_eq!(first.contains("retry: 1000\n"), primed, "{version}: {first}");
    }
}

/// A server that sends a notification of its own with each call, numbered from 1.
fn chatty() -> std::sync::Arc<ScriptedUpstream> {
    let count = std::sync::atomic::AtomicUsize::new(1);
    ScriptedUpstream::new(move |message, inbox| {
        let note = note(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        Box::pin(async move {
            inbox.deliver(Message::parse(note.into()).unwrap()).await;
            Ok(result(&message, "{}"))
        })
    })
}

#[tokio::test(start_paused = true)]
async fn the_listening_stream_goes_on_where_it_broke_off() {
    let gateway = Gateway::new(&Config::default(), chatty());
    let (mut client, id) = gateway.session().await;
    let call = post(&in_session(&id), CALL);
    assert_eq!(gateway.upstream.connections().listened, 0);
    let mut first = Reader::open(gateway.connect(), &get(&id, None)).await;
    within(gateway.upstream.listened(1)).await;
    let primer = first.id().await;
    for number in 1..=2 {
        client.ask(&call).await;
        assert_eq!(first.next().await, Some(note(number)));
    }
    assert_eq!(gateway.connect().ask(&get(&id, None)).await.status, 409);
    // The gateway still believes in the first connection: the client knows better.
    let mut second = Reader::open(gateway.connect(), &get(&id, Some(&primer))).await;
    assert_eq!(first.next().await, None);
    within(gateway.upstream.listened(2)).await;
    client.ask(&call).await;
    for number in 1..=3 {
        assert_eq!(second.next().await, Some(note(number)));
    }
    let last = second.id().await;
    drop(second);
    client.ask(&call).await;
    let mut third = Reader::open(gateway.connect(), &get(&id, Some(&last))).await;
    assert_eq!(third.next().await, Some(note(4)), "what waited for a stream");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_remembers() {
    let gateway = Gateway::new(&Config::default(), chatty());
    let (mut client, id) = gateway.session().await;
    // A listening stream of another replica goes on here, with what is still to come.
    let mut reader = Reader::open(gateway.connect(), &get(&id, Some("listen-7-7"))).await;
    client.ask(&post(&in_session(&id), CALL)).await;
    assert_eq!(reader.next().await, Some(note(1)));
    // The rest of an answer is nowhere else. It is not 404, by which the session would be over.
    let listening = reader.id().await;
    let listening = listening.strip_prefix("listen-").unwrap();
    for last in ["7-7", "x", "", "0", "listen", listening] {
        let answer = gateway.connect().ask(&get(&id, Some(last))).await;
        assert_eq!(answer.status, 400, "{last}: {}", answer.body);
        assert_eq!(answer.json()["error"]["data"]["kind"], "bad_transport");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_session_is_not_found() {
    let story = Story::new();
    let gateway = Gateway::new(&Config::default(), story.upstream.clone());
    let (client, id) = gateway.session().await;
    let mut reader = Reader::open(client, &post(&in_session(&id), CALL)).await;
    let last = reader.id().await;
    let (mut other, other_id) = gateway.session().await;
    let answer = other.ask(&get(&other_id, Some(&last))).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn a_listening_stream_says_when_to_come_back_before_it_ends() {
    let gateway = Gateway::new(&Config::default(), ScriptedUpstream::obliging());
    let (_client, id) = gateway.session_of("2025-06-18").await;
    let mut listener = gateway.connect();
    listener.send(&get(&id, None)).await;
    assert_eq!(within(listener.head()).await.status, 200);
    gateway.shutdown.cancel();
    assert_eq!(within(listener.chunk()).await.as_deref(), Some("retry: 1000\n\n"));
    assert_eq!(within(listener.chunk()).await, None);
}
