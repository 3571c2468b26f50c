//! Calls that wait for their clients: the server is in the middle of each, the client has gone away
//! with a handle and comes back with answers. A handle is good once, for ten minutes, and only on
//! the connection that gave it out, which is that of one principal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::{Clock, ErrorKind, Failure, lock};
use protocol::Message;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::call::Call;
use super::session::age;

/// Calls that may wait at once.
const CALLS: usize = 1_024;

/// How long a call waits.
const PATIENCE: Duration = Duration::from_secs(600);

/// The calls that wait.
pub(super) struct Parked {
    clock: Arc<dyn Clock>,
    calls: Mutex<HashMap<String, Waiting>>,
}

/// One call, held by a task that reads on for it. The task ends, and the call with it, when this is
/// dropped.
struct Waiting {
    since: Instant,
    claims: mpsc::Sender<Claim>,
}

/// Who asks for a call that waits.
enum Claim {
    /// A retry that wants it back.
    Retry(Message, oneshot::Sender<Result<Call, Failure>>),
    /// The client was never asked, for this reason.
    Dismissal(Failure),
}

impl Parked {
    /// None waits.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, calls: Mutex::default() })
    }

    /// Lets a call wait. Gives the response that asks its client for input.
    ///
    /// # Errors
    ///
    /// `Overloaded` when too many wait; the call is given up.
    pub(super) fn park(&self, call: Call) -> Result<Message, Failure> {
        self.sweep();
        let handle = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let required = call.required(&handle)?;
        let mut calls = lock(&self.calls);
        if calls.len() >= CALLS {
            let text = format!("{CALLS} calls wait for input of their clients already");
            return Err(Failure::new(ErrorKind::Overloaded, text));
        }
        call.set_parked(true);
        let (claims, claimed) = mpsc::channel(1);
        calls.insert(handle, Waiting { since: self.clock.monotonic(), claims });
        drop(calls);
        tokio::spawn(hold(call, claimed));
        Ok(required)
    }

    /// The call that a retry belongs to (`params.requestState`). One that does not fit it leaves it
    /// waiting.
    ///
    /// # Errors
    ///
    /// `InvalidParams` when there is none, or the retry is not the call again.
    pub(super) async fn claim(&self, retry: &Message) -> Result<Call, Failure> {
        self.sweep();
        let unknown = || {
            let text = "`params.requestState` is unknown, was used, or is older than ten minutes: \
                        make the call again without it";
            Failure::new(ErrorKind::InvalidParams, text).unsent()
        };
        let state = retry.request_state().unwrap_or_default();
        let handle = state.trim_matches('"');
        let claims = lock(&self.calls).get(handle).map(|waiting| waiting.claims.clone());
        let claims = claims.ok_or_else(unknown)?;
        let (call, claimed) = oneshot::channel();
        let claim = Claim::Retry(retry.clone(), call);
        claims.send(claim).await.map_err(|_| unknown())?;
        let call = claimed.await.map_err(|_| unknown())??;
        lock(&self.calls).remove(handle);
        call.set_parked(false);
        Ok(call)
    }

    /// Gives up the call that a response belongs to (`result.requestState`) which did not reach the
    /// client.
    pub(super) fn dismiss(&self, required: &Message, failure: &Failure) {
        let state = required.request_state().unwrap_or_default();
        if let Some(waiting) = lock(&self.calls).remove(state.trim_matches('"')) {
            // There is room: nobody else was given the handle.
            waiting.claims.try_send(Claim::Dismissal(failure.clone())).ok();
        }
    }

    /// Gives up the calls that have waited too long.
    pub(super) fn sweep(&self) {
        let old = |waiting: &Waiting| age(&*self.clock, waiting.since) >= PATIENCE;
        lock(&self.calls).retain(|_, waiting| !old(waiting));
    }

    /// Gives up all calls.
    pub(super) fn close(&self) {
        lock(&self.calls).clear();
    }
}

/// Keeps a call until a retry that fits it comes, or nobody can come any more.
async fn hold(mut call: Call, mut claims: mpsc::Receiver<Claim>) {
    loop {
        let claim = tokio::select! {
            claim = claims.recv() => claim,
            () = call.wait() => None,
        };
        let (retry, claimed) = match claim {
            Some(Claim::Retry(retry, claimed)) => (retry, claimed),
            Some(Claim::Dismissal(failure)) => return call.dismiss(&failure),
            None => return,
        };
        match call.check(&retry) {
            Err(failure) => drop(claimed.send(Err(failure))),
            Ok(()) => match claimed.send(Ok(call)) {
                Ok(()) => return,
                // The client left while it was answered, and may come again.
                Err(Ok(back)) => call = back,
                Err(Err(_)) => return,
            },
        }
    }
}
