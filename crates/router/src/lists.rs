//! Answers that are lists: each entry is decided as the message that would use it.

use domain::{ErrorKind, Failure, Mode};
use protocol::ListKind;

use crate::Router;
use crate::companions::give_way;
use crate::entry::Entry;
use crate::subject::Subject;

impl Router {
    /// Removes from a list the entries that policy would not let the agent use. `None` when nothing
    /// has to go.
    pub(crate) async fn filter_list(
        &self,
        subject: &Subject<'_>,
        kind: ListKind,
        result: &str,
        entry: &mut Entry,
    ) -> Result<Option<String>, Failure> {
        let unreadable = |error| {
            Failure::new(ErrorKind::UpstreamError, "the server's list could not be read").detail(
                format_args!("`{}` of the server could not be read: {error}", kind.member()),
            )
        };
        let entries = protocol::list_entries(result, kind).map_err(unreadable)?;
        let listed = match kind {
            ListKind::Tools => self.catalogue.note(&entries),
            ListKind::Resources | ListKind::ResourceTemplates | ListKind::Prompts => Vec::new(),
        };
        let session = &*subject.arrival().session;
        let mut shown = Vec::with_capacity(entries.len());
        let mut denied = Vec::new();
        for (index, item) in entries.iter().enumerate() {
            give_way(index).await;
            let input = subject.entry_input(kind, item, listed.get(index).map(|it| &**it));
            let ruling = self.judge(&input, Some(session), entry).await;
            shown.push(ruling.permit().is_some());
            if ruling.denial().is_some() {
                denied.push(plain_name(kind, &item.key));
            }
        }
        if !denied.is_empty() {
            // Nothing else in the log says so: decisions on entries have no row of their own.
            let did = match entry.mode() {
                Mode::Enforce => "hid",
                Mode::Audit => "would hide",
            };
            let (count, all, names) = (denied.len(), entries.len(), denied.join(", "));
            entry.account(&format!("{did} {count} of {all} {}: {names}", kind.member()));
        }
        if shown.iter().all(|shown| *shown) {
            return Ok(None);
        }
        let mut shown = shown.into_iter();
        let retained = protocol::retain_entries(result, kind, |_| shown.next().unwrap_or(false))
            .map_err(unreadable)?;
        Ok(Some(retained.result))
    }
}

/// The name of a list entry for the log, without the parts of a URI that may hold a secret: user,
/// password, query and fragment.
fn plain_name(kind: ListKind, key: &str) -> String {
    if matches!(kind, ListKind::Tools | ListKind::Prompts) {
        return key.to_owned();
    }
    let (head, _) = key.split_once(['?', '#']).unwrap_or((key, ""));
    let Some((scheme, rest)) = head.split_once("://") else { return head.to_owned() };
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, b)| (a, Some(b)));
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    match path {
        Some(path) => format!("{scheme}://{host}/{path}"),
        None => format!("{scheme}://{host}"),
    }
}
