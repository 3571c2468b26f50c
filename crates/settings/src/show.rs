//! The merged settings, with the origin of each value and without secrets.

use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use crate::Loaded;
use crate::catalog::{Node, Section};
use crate::render::scalar;

const MASK: &str = "***";
/// Bytes of a digest that are shown: enough to tell configurations apart.
const DIGEST_BYTES: usize = 8;

impl Loaded {
    /// The settings as YAML, the origin of each value behind it, under a comment with their [`digest`](Self::digest).
    #[must_use]
    pub fn show(&self) -> String {
        let mut out = format!("# digest: {}\n", self.digest());
        self.show_section(&Section::root(), &self.masked(), 0, &mut out);
        out
    }

    /// The settings and the origins as one JSON object: `{"settings": {…}, "origins": {"server.listen.port":
    /// "default"}, "digest": "…"}`.
    #[must_use]
    pub fn show_json(&self) -> Json {
        let origins: Map<String, Json> = self
            .origins
            .iter()
            .map(|(key, origin)| (key.clone(), Json::String(origin.to_string())))
            .collect();
        let parts = [
            ("settings", self.masked()),
            ("origins", Json::Object(origins)),
            ("digest", Json::String(self.digest())),
        ];
        Json::Object(parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect())
    }

    /// Names these settings, wherever their values come from: the first 16 hexadecimal digits of the SHA-256 of what
    /// [`show_json`](Self::show_json) shows of them. Secrets count as masked, so that the digest gives nothing of them away.
    #[must_use]
    pub fn digest(&self) -> String {
        let hash = Sha256::digest(self.masked().to_string());
        hash.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }

    fn show_section(&self, section: &Section, tree: &Json, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        for (name, node) in &section.children {
            let value = tree.get(name).unwrap_or(&Json::Null);
            match node {
                Node::Section(child) => {
                    out.push_str(&format!("{indent}{name}:\n"));
                    self.show_section(child, value, depth + 1, out);
                }
                Node::Leaf(leaf) => {
                    let origin = self.origins.get(&leaf.path).map(ToString::to_string);
                    let value = scalar(&leaf.kind, value);
                    let origin = origin.unwrap_or_default();
                    out.push_str(&format!("{indent}{name}: {value}  # {origin}\n"));
                }
            }
        }
    }

    fn masked(&self) -> Json {
        let mut tree = serde_json::to_value(&self.settings).unwrap_or_default();
        for key in &self.secrets {
            if let Some(value) = tree.pointer_mut(&format!("/{}", key.replace('.', "/"))) {
                mask(value);
            }
        }
        mask_urls(&mut tree);
        tree
    }
}

/// Masks a value, but shows how many items or which names it has.
fn mask(value: &mut Json) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(mask),
        Json::Object(map) => map.values_mut().for_each(mask),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            *value = Json::String(MASK.to_owned());
        }
    }
}

/// Masks user, password and query in every URL: keys are sent in queries too.
fn mask_urls(value: &mut Json) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(mask_urls),
        Json::Object(map) => map.values_mut().for_each(mask_urls),
        Json::String(text) => {
            let Some((scheme, rest)) = text.split_once("://") else { return };
            let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, MASK));
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let (user, host) =
                authority.rsplit_once('@').map_or(("", authority), |(_, host)| (MASK, host));
            let (at, asks) =
                (if user.is_empty() { "" } else { "@" }, if query.is_empty() { "" } else { "?" });
            *text = format!("{scheme}://{user}{at}{host}{path}{asks}{query}");
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}
