//! Which eras one server speaks: asked when it matters, kept for a while, forgotten in doubt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::{Answer, Clock, ErrorKind, Failure, Party, Permit};
use protocol::{Kind, Message, Method, ProtocolVersion, object};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::ask::{ask, request};
use crate::bridge::{Deaf, Shared};
use crate::envelope::Envelope;

/// How long a server that does not speak an era is not asked again.
const BELIEVED: Duration = Duration::from_secs(600);

/// How long a server behind a pipe may be silent before it is taken for one that does not know the
/// question. An answer that comes later still counts.
pub(crate) const SILENCE: Duration = Duration::from_secs(3);

/// How long the connection stays over which a stateless server was found: who waited for that uses
/// the same pipe, and need not start another process.
const LINGER: Duration = Duration::from_secs(5);

/// The eras of one server.
pub(crate) struct Eras {
    modern: Known,
    legacy: Known,
    clock: Arc<dyn Clock>,
    start: Instant,
    /// How often the server could not be reached to be asked.
    misses: AtomicU64,
    /// Held while the server is being asked: why it could not be reached last.
    asking: Mutex<Option<Failure>>,
}

/// What is known of one era, in a word that is read without a lock: nothing, that it is spoken, or
/// since when (in milliseconds) it is known not to be.
#[derive(Default)]
struct Known(AtomicU64);

const INVALID_REQUEST: i64 = ErrorKind::InvalidRequest.code() as i64;
const UNSUPPORTED_VERSION: i64 = ErrorKind::UnsupportedVersion.code() as i64;

/// Errors that 2026-07-28 defines; before, servers could mean anything by them.
const MODERN_ONLY: [i64; 3] = [
    ErrorKind::HeaderMismatch.code() as i64,
    ErrorKind::MissingCapability.code() as i64,
    UNSUPPORTED_VERSION,
];

const UNKNOWN: u64 = 0;
const SPOKEN: u64 = 1;
/// The word of an era that was found missing at the start.
const MISSING: u64 = 2;

/// What is taken for true of one era.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    Unknown,
    Spoken,
    Missing,
    /// Missing when it was last looked for, which is a while ago.
    MissingBefore,
}

/// What an answer to `server/discover` says.
enum Finding {
    Modern,
    NotModern,
    /// Nothing: the server was not reached.
    Unclear(Failure),
}

impl Eras {
    /// Nothing is known yet.
    pub(crate) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self {
            modern: Known::default(),
            legacy: Known::default(),
            clock: Arc::clone(clock),
            start: clock.monotonic(),
            misses: AtomicU64::new(0),
            asking: Mutex::default(),
        }
    }

    /// The server is known to speak 2026-07-28.
    pub(crate) fn is_modern(&self) -> bool {
        self.modern.0.load(Ordering::Relaxed) == SPOKEN
    }

    /// The server is known to have no sessions.
    pub(crate) fn has_no_sessions(&self) -> bool {
        self.read(&self.legacy) == Belief::Missing
    }

    /// The server answered `initialize`.
    pub(crate) fn has_sessions(&self) {
        self.legacy.0.store(SPOKEN, Ordering::Relaxed);
    }

    /// The server answered as a stateless one where a session was wanted. `says_otherwise`: it claims
    /// to have sessions too, so the next client asks for one again.
    pub(crate) fn is_stateless(&self, says_otherwise: bool) {
        self.modern.0.store(SPOKEN, Ordering::Relaxed);
        if says_otherwise {
            self.legacy.0.store(UNKNOWN, Ordering::Relaxed);
        } else {
            self.miss(&self.legacy);
        }
    }

    /// What was known may have changed: the server is asked again before the next message that
    /// depends on it.
    pub(crate) fn doubt(&self) {
        self.modern.0.store(UNKNOWN, Ordering::Relaxed);
        self.legacy.0.store(UNKNOWN, Ordering::Relaxed);
    }

    fn read(&self, known: &Known) -> Belief {
        match known.0.load(Ordering::Relaxed) {
            UNKNOWN => Belief::Unknown,
            SPOKEN => Belief::Spoken,
            since if self.now().saturating_sub(since) < millis(BELIEVED) => Belief::Missing,
            _ => Belief::MissingBefore,
        }
    }

    fn miss(&self, known: &Known) {
        known.0.store(self.now(), Ordering::Relaxed);
    }

    /// Milliseconds since the start, counted from [`MISSING`].
    fn now(&self) -> u64 {
        let elapsed = self.clock.monotonic().saturating_duration_since(self.start);
        MISSING.saturating_add(millis(elapsed))
    }

    fn note(&self, server: &str, finding: &Finding) {
        let before = self.read(&self.modern);
        match finding {
            Finding::Modern => self.modern.0.store(SPOKEN, Ordering::Relaxed),
            Finding::NotModern => self.miss(&self.modern),
            Finding::Unclear(_) => return,
        }
        if before != self.read(&self.modern) && before != Belief::MissingBefore {
            let modern = matches!(finding, Finding::Modern);
            tracing::info!(server, modern, "asked the server whether it speaks MCP 2026-07-28");
        }
    }
}

impl Shared {
    /// Whether an answer to a message of a session hints that the server has no sessions any more: it
    /// was refused unread, or failed. A process that fails is not asked, as that takes another one,
    /// unless the server refused another session already.
    pub(crate) fn may_have_lost_sessions(&self, answer: &Result<Answer, Failure>) -> bool {
        match answer {
            Ok(Answer::Message(answer)) => answer.error_code().is_some_and(was_refused_unread),
            Ok(Answer::Accepted | Answer::Stream(_)) => false,
            Err(failure) => {
                let failed = failure.kind == ErrorKind::UpstreamError && !failure.unsent;
                failed && (self.has_headers() || self.eras().has_no_sessions())
            }
        }
    }

    /// Whether the server speaks 2026-07-28. It is asked when that is not known: by one request for
    /// all that wait. A server that did not some time ago is asked again while it is still taken for
    /// one that does not, so that nobody waits.
    ///
    /// # Errors
    ///
    /// The server could not be asked.
    pub(crate) async fn find_modern(self: &Arc<Self>, permit: &Permit) -> Result<bool, Failure> {
        let eras = self.eras();
        match eras.read(&eras.modern) {
            Belief::Spoken => return Ok(true),
            Belief::Missing => return Ok(false),
            Belief::MissingBefore => {
                eras.miss(&eras.modern);
                drop(self.look(permit));
                return Ok(false);
            }
            Belief::Unknown => {}
        }
        let misses = eras.misses.load(Ordering::Relaxed);
        let mut last = eras.asking.lock().await;
        match (eras.read(&eras.modern), &*last) {
            (Belief::Spoken, _) => return Ok(true),
            (Belief::Missing | Belief::MissingBefore, _) => return Ok(false),
            // Whoever waited for an answer takes part in there being none.
            (Belief::Unknown, Some(failure)) if eras.misses.load(Ordering::Relaxed) != misses => {
                return Err(failure.clone());
            }
            (Belief::Unknown, _) => {}
        }
        let looked = self.look(permit);
        let finding = if self.has_headers() {
            looked.await
        } else {
            match timeout(SILENCE, looked).await {
                Ok(finding) => finding,
                Err(_) => {
                    eras.note(self.raw().view().name, &Finding::NotModern);
                    return Ok(false);
                }
            }
        };
        let failure = match finding {
            Ok(Finding::Modern) => return Ok(true),
            Ok(Finding::NotModern) => return Ok(false),
            Ok(Finding::Unclear(failure)) => failure,
            Err(failed) => {
                let text = "the server could not be asked for its revision of MCP";
                Failure::new(ErrorKind::Internal, text).detail(failed)
            }
        };
        eras.misses.fetch_add(1, Ordering::Relaxed);
        *last = Some(failure.clone());
        Err(failure)
    }

    /// Whether a server that spoke 2026-07-28 says that it does not: silence is no answer to that.
    pub(crate) async fn is_modern_no_more(self: &Arc<Self>, permit: &Permit) -> bool {
        matches!(self.look(permit).await, Ok(Finding::NotModern))
    }

    /// Whether a server that was taken for one with sessions says that it speaks 2026-07-28. Where it
    /// says nothing, the next request asks again.
    pub(crate) async fn is_modern_by_now(self: &Arc<Self>, permit: &Permit) -> bool {
        match timeout(SILENCE, self.look(permit)).await {
            Ok(Ok(Finding::Modern)) => true,
            Ok(Ok(Finding::NotModern)) => false,
            Ok(Ok(Finding::Unclear(_)) | Err(_)) | Err(_) => {
                self.eras().doubt();
                false
            }
        }
    }

    /// Asks `server/discover` in a task of its own, which notes the finding whoever still waits.
    fn look(self: &Arc<Self>, permit: &Permit) -> JoinHandle<Finding> {
        let shared = Arc::clone(self);
        let permit = permit.translated();
        tokio::spawn(async move {
            // Nothing of any client goes over it, and a server with sessions keeps nothing of it.
            let connection = shared.raw().connect(Arc::new(Deaf), Party::Many);
            let params = Envelope::own().around(None, None, None);
            let finding = match request(1, Method::ServerDiscover.as_str(), &params) {
                Ok(discover) => Finding::of(ask(&*connection, permit, discover, None).await),
                Err(failure) => Finding::Unclear(failure),
            };
            shared.eras().note(shared.raw().view().name, &finding);
            let held = if matches!(finding, Finding::Modern) { LINGER } else { Duration::ZERO };
            tokio::spawn(async move {
                sleep(held).await;
                connection.close().await;
            });
            finding
        })
    }
}

impl Finding {
    fn of(answer: Result<Message, Failure>) -> Self {
        let modern = match answer {
            Ok(answer) => speaks_modern(&answer),
            Err(failure) if failure.unsent || failure.kind != ErrorKind::UpstreamError => {
                return Self::Unclear(failure);
            }
            Err(_) => false,
        };
        if modern { Self::Modern } else { Self::NotModern }
    }
}

/// Whether that is how a server of 2026-07-28 answers `server/discover`: with a result, or with an
/// error that only this revision has.
fn speaks_modern(answer: &Message) -> bool {
    let listed = if answer.kind() == Kind::Response {
        answer.result().and_then(|result| object::get(result, "supportedVersions"))
    } else {
        match answer.error_code() {
            Some(UNSUPPORTED_VERSION) => {
                let data = answer.error().and_then(|error| object::get(error, "data"));
                data.and_then(|data| object::get(data, "supported"))
            }
            Some(code) if MODERN_ONLY.contains(&code) => None,
            Some(_) | None => return false,
        }
    };
    listed.is_none_or(|versions| names(versions, ProtocolVersion::V2026_07_28))
}

/// Whether a server that spoke 2026-07-28 seems not to any more: it could not be understood, or it
/// answered with an error that is none of this revision's.
pub(crate) fn was_misunderstood(answer: &Result<Answer, Failure>) -> bool {
    match answer {
        Ok(Answer::Message(answer)) => answer.error_code().is_some_and(|code| {
            (-32019..=-32000).contains(&code)
                || [INVALID_REQUEST, UNSUPPORTED_VERSION].contains(&code)
        }),
        Ok(Answer::Accepted | Answer::Stream(_)) => false,
        Err(failure) => failure.kind == ErrorKind::UpstreamError,
    }
}

/// Whether an answer to a request of the other era, translated or not, hints that the server speaks
/// 2026-07-28 by now: it failed, or the server refused it as messages of the other era are.
pub(crate) fn was_taken_for_old(answer: &Result<Answer, Failure>) -> bool {
    let refused = |answer: &Message| answer.error_code().is_some_and(was_refused_unread);
    was_misunderstood(answer) || matches!(answer, Ok(Answer::Message(it)) if refused(it))
}

/// Whether an error says that the server did not read the request further than to its era.
pub(crate) fn was_refused_unread(code: i64) -> bool {
    code == INVALID_REQUEST || MODERN_ONLY.contains(&code)
}

/// Whether a list of revisions (raw JSON) names that one.
pub(crate) fn names(versions: &str, version: ProtocolVersion) -> bool {
    versions.split('"').any(|part| part == version.as_str())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
