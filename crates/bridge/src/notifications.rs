//! What a client can ask to be told of: changes of lists, and of resources by URI.

use protocol::{Method, encode};

/// Resources that one client may ask for.
pub(crate) const URIS: usize = 1_000;

/// A list whose changes a server may announce.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    /// The capability whose member `listChanged` says that it does.
    pub(crate) feature: &'static str,
    /// The member of the filter of `subscriptions/listen`.
    pub(crate) member: &'static str,
    /// The notification.
    pub(crate) changed: Method,
}

/// All of them.
pub(crate) const LISTS: [List; 3] = [
    List { feature: "tools", member: "toolsListChanged", changed: Method::ToolsListChanged },
    List { feature: "prompts", member: "promptsListChanged", changed: Method::PromptsListChanged },
    List {
        feature: "resources",
        member: "resourcesListChanged",
        changed: Method::ResourcesListChanged,
    },
];

/// The filter of `subscriptions/listen` (raw JSON) that names these lists and resources; `None` when
/// it would name nothing.
pub(crate) fn filter<'a>(lists: &[List], uris: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut members: Vec<String> =
        lists.iter().map(|List { member, .. }| format!(r#""{member}":true"#)).collect();
    let uris: Vec<String> = uris.map(quoted).collect();
    if !uris.is_empty() {
        members.push(format!(r#""resourceSubscriptions":[{}]"#, uris.join(",")));
    }
    (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    encode::string(&mut quoted, text);
    quoted
}
