//! Which arguments of which tool a server wants repeated in HTTP headers (2026-07-28,
//! `x-mcp-header`): read from the lists that pass by, or from one that the gateway asks for itself.
//! Clients without such headers are given them; what others send is compared with the body.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use domain::{ErrorKind, Failure, lock};
use protocol::mirror::Annotations;
use protocol::{ListEntry, ListKind, Message, ParamHeader, list_entries, object};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

/// Tools of one server that are kept at most; past it the gateway starts over.
const TOOLS: usize = 10_000;

/// What is known of the tools of one server.
#[derive(Default)]
pub(crate) struct Tools {
    known: Mutex<Known>,
    /// Whether any tool has such an argument; most servers have none, and calls need no lock then.
    annotated: AtomicBool,
    /// Held while the gateway lists the tools itself.
    listing: AsyncMutex<()>,
}

#[derive(Default)]
struct Known {
    annotations: HashMap<String, Arc<Annotations>>,
    /// Whether there are no other tools, as far as is known.
    whole: bool,
}

impl Tools {
    /// Reads one page of `tools/list`. Gives the entries (raw JSON) as a client with a session may
    /// see them, if that is not all of them as they are: where messages have headers, tools with
    /// invalid annotations go, as 2026-07-28 demands; output schemas that are no objects go, as
    /// earlier revisions forbid them. What cannot be read is left to the reader of the answer.
    pub(crate) fn read(&self, result: &str, first: bool, headers: bool) -> Option<String> {
        let entries = list_entries(result, ListKind::Tools).ok()?;
        let mut changed = false;
        let mut shown = Vec::with_capacity(entries.len());
        let mut read = Vec::new();
        for entry in &entries {
            if headers {
                let schema = object::get(entry.raw, "inputSchema").unwrap_or("{}");
                match Annotations::read(schema) {
                    Ok(annotations) => {
                        read.push((entry.key.clone().into_owned(), Arc::new(annotations)));
                    }
                    Err(why) => {
                        tracing::warn!(tool = %entry.key, "dropped from the list: {why}");
                        changed = true;
                        continue;
                    }
                }
            }
            let narrow = without_open_output(entry);
            changed |= matches!(narrow, Cow::Owned(_));
            shown.push(narrow);
        }
        let whole = first && object::get(result, "nextCursor").is_none();
        self.keep(read, whole);
        changed.then(|| format!("[{}]", shown.join(",")))
    }

    /// Reads one page of `tools/list` that goes to its client as it is.
    pub(crate) fn learn(&self, result: &str) {
        let entries = list_entries(result, ListKind::Tools).unwrap_or_default();
        let read = entries.iter().filter_map(|entry| {
            let schema = object::get(entry.raw, "inputSchema").unwrap_or("{}");
            Some((entry.key.clone().into_owned(), Arc::new(Annotations::read(schema).ok()?)))
        });
        self.keep(read.collect(), false);
    }

    /// Compares the headers of a call with its arguments, as far as the tool is known ("Server
    /// Behavior for Custom Headers").
    ///
    /// # Errors
    ///
    /// `HeaderMismatch` where they differ.
    pub(crate) fn check(&self, call: &Message) -> Result<(), Failure> {
        if !self.annotated.load(Ordering::Relaxed) {
            return Ok(());
        }
        let known = call.name().and_then(|name| lock(&self.known).annotations.get(&*name).cloned());
        let checked = known.map_or(Ok(()), |it| it.check(call.arguments(), call.param_headers()));
        checked.map_err(|mismatch| Failure::new(ErrorKind::HeaderMismatch, mismatch).unsent())
    }

    /// Notes that there are no other tools than those that were read.
    pub(crate) fn note_whole(&self) {
        lock(&self.known).whole = true;
    }

    fn keep(&self, read: Vec<(String, Arc<Annotations>)>, whole: bool) {
        if read.iter().any(|(_, annotations)| !annotations.is_empty()) {
            self.annotated.store(true, Ordering::Relaxed);
        }
        let mut known = lock(&self.known);
        if known.annotations.len() + read.len() > TOOLS {
            *known = Known::default();
        }
        known.annotations.extend(read.into_iter().take(TOOLS));
        known.whole |= whole;
    }

    /// The tools may have changed: the next call of an unknown one lists them again.
    pub(crate) fn changed(&self) {
        lock(&self.known).whole = false;
    }

    /// Waits until nobody else lists the tools.
    pub(crate) async fn listing(&self) -> MutexGuard<'_, ()> {
        self.listing.lock().await
    }

    /// The headers of a call; `None` when the tool is not known.
    pub(crate) fn headers(&self, call: &Message) -> Option<Arc<[ParamHeader]>> {
        let name = call.name()?;
        let annotations = {
            let known = lock(&self.known);
            match known.annotations.get(&*name) {
                Some(annotations) => Arc::clone(annotations),
                None => return known.whole.then(Arc::default),
            }
        };
        Some(annotations.headers(call.arguments()).into())
    }
}

/// The entry without an output schema whose root is not an object.
fn without_open_output<'a>(entry: &ListEntry<'a>) -> Cow<'a, str> {
    let schema = object::get(entry.raw, "outputSchema");
    let open = schema.is_some_and(|schema| object::get(schema, "type") != Some("\"object\""));
    if open {
        Cow::Owned(object::edit(entry.raw, &[("outputSchema", None)]))
    } else {
        Cow::Borrowed(entry.raw)
    }
}
