//! What becomes of what a client asked for when it leaves.

use std::sync::Arc;

use domain::{
    Answer, BoxFuture, Connection, ErrorKind, Failure, Inbox, Party, Permit, ServerView, Upstream,
};
use futures_util::{StreamExt, stream};
use protocol::Message;
use serde_json::json;
use session::Session;
use testkit::ports::{ScriptedUpstream, result};
use tokio::sync::watch;

use crate::Config;
use crate::fixture::{
    CALL, Client, Gateway, INITIALIZE, MIRRORED, MODERN, Story, USUAL, in_session, post, within,
};

fn modern() -> String {
    post(&format!("{USUAL}{MIRRORED}"), MODERN)
}

/// A server that answers when it is told to.
fn held() -> (watch::Sender<bool>, Arc<ScriptedUpstream>) {
    let (release, released) = watch::channel(false);
    let upstream = ScriptedUpstream::new(move |message, _| {
        let mut released = released.clone();
        Box::pin(async move {
            released.wait_for(|released| *released).await.unwrap();
            Ok(result(&message, "{}"))
        })
    });
    (release, upstream)
}

/// Leaves once so many requests of the session are in flight.
async fn leave<S>(client: Client<S>, session: &Session, in_flight: usize) {
    within(async {
        while session.in_flight() < in_flight {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(client);
    // Everyone has noticed by then: the clock advances when nobody has anything to do.
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    assert_eq!(session.in_flight(), in_flight);
}

#[tokio::test(start_paused = true)]
async fn leaving_cancels_a_stateless_call() {
    let (reached, mut calls) = tokio::sync::mpsc::channel(1);
    let upstream = ScriptedUpstream::new(move |_, _| {
        reached.try_send(()).unwrap();
        Box::pin(std::future::pending())
    });
    let gateway = Gateway::new(&Config::default(), upstream);
    let mut client = gateway.connect();
    client.send(&modern()).await;
    within(calls.recv()).await.unwrap();
    drop(client);
    assert_eq!(gateway.row().await.error_kind, Some(ErrorKind::Abandoned));
}

#[tokio::test(start_paused = true)]
async fn leaving_cancels_a_stateless_stream() {
    let mut story = Story::new();
    let gateway = Gateway::new(&Config::default(), story.upstream.clone());
    let mut client = gateway.connect();
    client.send(&modern()).await;
    story.tell(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#).await;
    within(client.head()).await;
    let event = within(client.chunk()).await.unwrap();
    assert!(!event.contains("id: "), "{event}");
    assert!(story.is_heard());
    drop(client);
    story.is_dropped().await;
    let rows = within(gateway.recorder.wait_for(2)).await;
    assert_eq!(rows[1].error_kind, Some(ErrorKind::Abandoned));
}

#[tokio::test(start_paused = true)]
async fn leaving_cancels_nothing_in_a_session() {
    for (version, body, calls) in [
        ("2025-06-18", CALL.to_owned(), 1),
        ("2025-03-26", format!("[{CALL},{}]", CALL.replace(r#""id":"a""#, r#""id":"b""#)), 2),
    ] {
        let (release, upstream) = held();
        let gateway = Gateway::new(&Config::default(), upstream);
        let (mut client, id) = gateway.session_of(version).await;
        client.send(&post(&in_session(&id), &body)).await;
        leave(client, &gateway.find(&id).unwrap(), calls).await;
        release.send_replace(true);
        let rows = within(gateway.recorder.wait_for(1 + calls)).await;
        assert!(rows.iter().all(|row| row.error_kind.is_none()), "{version}: {rows:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn leaving_does_not_cancel_a_stream_of_a_session() {
    for version in ["2024-11-05", "2025-11-25"] {
        let mut story = Story::new();
        let gateway = Gateway::new(&Config::default(), story.upstream.clone());
        let (mut client, id) = gateway.session_of(version).await;
        client.send(&post(&in_session(&id), CALL)).await;
        within(client.head()).await;
        leave(client, &gateway.find(&id).unwrap(), 1).await;
        assert!(story.is_heard(), "{version}");
        story.tell(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#).await;
        story.tell(&json!({"jsonrpc": "2.0", "id": "a", "result": {}}).to_string()).await;
        let rows = within(gateway.recorder.wait_for(3)).await;
        assert!(rows.iter().all(|row| row.error_kind.is_none()), "{version}");
        story.is_dropped().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_without_its_client_ends_with_the_session() {
    let upstream = ScriptedUpstream::new(|_, _| Box::pin(std::future::pending()));
    let gateway = Gateway::new(&Config::default(), upstream);
    let (mut client, id) = gateway.session().await;
    client.send(&post(&in_session(&id), CALL)).await;
    let session = gateway.find(&id).unwrap();
    leave(client, &session, 1).await;
    gateway.router.close(&session).await;
    let rows = within(gateway.recorder.wait_for(2)).await;
    assert_eq!(rows[1].error_kind, Some(ErrorKind::Abandoned));
}

/// A server that takes its time, also for `initialize`.
struct Slow {
    upstream: Arc<ScriptedUpstream>,
    released: watch::Receiver<bool>,
    /// Whether it says something else before it answers.
    talks: bool,
}

impl Upstream for Slow {
    fn connect(&self, inbox: Arc<dyn Inbox>, party: Party) -> Arc<dyn Connection> {
        let (released, talks) = (self.released.clone(), self.talks);
        Arc::new(SlowConnection { inner: self.upstream.connect(inbox, party), released, talks })
    }

    fn view(&self) -> ServerView<'_> {
        self.upstream.view()
    }
}

struct SlowConnection {
    inner: Arc<dyn Connection>,
    released: watch::Receiver<bool>,
    talks: bool,
}

impl Connection for SlowConnection {
    fn send(&self, permit: Permit, message: Message) -> BoxFuture<'_, Result<Answer, Failure>> {
        let (answer, mut released) = (self.inner.send(permit, message), self.released.clone());
        Box::pin(async move {
            let Answer::Message(answer) = answer.await? else { panic!("no answer") };
            let last = async move {
                released.wait_for(|released| *released).await.unwrap();
                Ok(answer)
            };
            if !self.talks {
                return last.await.map(Answer::Message);
            }
            let note = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
            let note = Ok(Message::parse(note.into()).unwrap());
            Ok(Answer::Stream(stream::iter([note]).chain(stream::once(last)).boxed()))
        })
    }

    fn refuse<'a>(&'a self, request: &'a Message, failure: &'a Failure) -> BoxFuture<'a, ()> {
        self.inner.refuse(request, failure)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_waits_for_ends_as_soon_as_the_server_has_answered() {
    for talks in [false, true] {
        let (release, released) = watch::channel(false);
        let upstream = ScriptedUpstream::obliging();
        let slow = Arc::new(Slow { upstream: upstream.clone(), released, talks });
        let gateway = Gateway::before(&Config::default(), slow, axum::Router::new());
        let mut client = gateway.connect();
        client.send(&post(USUAL, INITIALIZE)).await;
        while gateway.router.sessions().is_empty() {
            tokio::task::yield_now().await;
        }
        if talks {
            within(client.head()).await;
        }
        drop(client);
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        assert_eq!(upstream.connections().closed, 0, "what there is to end is not known yet");
        release.send_replace(true);
        within(upstream.closed(1)).await;
        assert!(gateway.router.sessions().is_empty());
        let rows = within(gateway.recorder.wait_for(1 + usize::from(talks))).await;
        assert!(rows.iter().all(|row| row.error_kind.is_none()), "{rows:?}");
    }
}
