//! Section `policy.bundle` of the configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::{Secret, Span, bare_host};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::{Error, Verification, VerifyingKey};

/// Policies from a bundle in OPA's layout, in the place of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address that the bundle is fetched from: `https`, or `http` on this machine. Redirects are not followed.
    pub url: Option<String>,
    /// File that the bundle is read from, when it is not fetched.
    pub file: Option<PathBuf>,
    /// Token that is sent along when the bundle is fetched, as `Authorization: Bearer`.
    pub token: Option<Secret<String>>,
    /// File with the certificates, in PEM form, that the server's must come from. Without one: those of the web.
    pub ca_file: Option<PathBuf>,
    /// Public keys that bundles are verified with, by name: PEM text, as in `${file:/etc/keys/bundle.pem}`. An RSA key
    /// is for RS256, one of curve P-256 for ES256. With any key, a bundle that is not signed is refused.
    pub public_keys: BTreeMap<String, String>,
    /// Shared keys that bundles are verified with, by name, for HS256: 32 bytes or more.
    pub shared_keys: BTreeMap<String, Secret<String>>,
    /// Name of the key that bundles must be signed with. Without one, the bundle names the key.
    pub key_id: Option<String>,
    /// Scope that bundles must be signed for. Without one, they must be signed for none.
    pub scope: Option<String>,
    /// How often the server is asked whether there is a new bundle, from `1s`.
    pub poll_interval: Span,
    /// File that the last bundle that served is kept in, for a start while the server cannot be reached. Each gateway
    /// needs its own.
    pub persist_file: PathBuf,
    /// Bytes that a bundle may have as it is sent; unpacked it may have 64 MiB.
    pub max_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            file: None,
            token: None,
            ca_file: None,
            public_keys: BTreeMap::new(),
            shared_keys: BTreeMap::new(),
            key_id: None,
            scope: None,
            poll_interval: Span::secs(30),
            persist_file: "bundle.tar.gz".into(),
            max_bytes: 16 << 20,
        }
    }
}

impl Config {
    /// Whether the policies come from a bundle.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.url.is_some() || self.file.is_some()
    }

    /// The file with the bundle: the one that is named, or the last one that was fetched and served.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.persist_file)
    }

    /// What bundles must be signed with.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] names the key that cannot be used.
    pub fn verification(&self) -> Result<Verification, Error> {
        let public =
            self.public_keys.iter().map(|(id, pem)| ("public_keys", id, VerifyingKey::public(pem)));
        let shared = self.shared_keys.iter();
        let shared =
            shared.map(|(id, key)| ("shared_keys", id, VerifyingKey::shared(key.expose())));
        let mut keys = BTreeMap::new();
        for (section, id, key) in public.chain(shared) {
            let wrong = |value: String, hint| Error::Setting {
                key: format!("{section}.{id}"),
                value,
                hint,
            };
            let key = key.map_err(|error| wrong(format!("no key: {error}"), "correct the key"))?;
            if keys.insert(id.clone(), key).is_some() {
                return Err(wrong("there twice".to_owned(), "give each key its own name"));
            }
        }
        Ok(Verification { keys, key_id: self.key_id.clone(), scope: self.scope.clone() })
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] names the key that is out of range.
    pub fn validate(&self) -> Result<(), Error> {
        let refused = |key: &str, value: String, hint| {
            Err(Error::Setting { key: key.to_owned(), value, hint })
        };
        if let Some(url) = &self.url {
            if self.file.is_some() {
                let hint = "name either an address or a file";
                return refused("url", "given beside `policy.bundle.file`".to_owned(), hint);
            }
            self.address(url)?;
        }
        let Verification { keys, .. } = self.verification()?;
        if let Some(id) = self.key_id.as_ref().filter(|id| !keys.contains_key(*id)) {
            let hint = "name one of `policy.bundle.public_keys` or `policy.bundle.shared_keys`";
            return refused("key_id", format!("`{id}`"), hint);
        }
        if self.scope.is_some() && keys.is_empty() {
            let hint = "name the keys that bundles are verified with";
            return refused("scope", "given without a key".to_owned(), hint);
        }
        if self.poll_interval.duration() < Duration::from_secs(1) {
            let hint = "set it to `1s` or more";
            return refused("poll_interval", format!("`{}`", self.poll_interval), hint);
        }
        if self.max_bytes < 1024 {
            return refused("max_bytes", self.max_bytes.to_string(), "set it to 1024 or more");
        }
        Ok(())
    }

    /// The address, when it is one that bundles may come from.
    pub(crate) fn address(&self, text: &str) -> Result<Url, Error> {
        let refused = |hint| {
            // Not the address itself, which may hold a password.
            Err(Error::Setting { key: "url".to_owned(), value: "refused".to_owned(), hint })
        };
        let Ok(url) = text.parse::<Url>() else {
            return refused("write it as in `https://policies.example/bundle.tar.gz`");
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refused("give credentials as `policy.bundle.token`");
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if is_local(&url) => Ok(url),
            _ => refused("use `https`; `http` is for addresses of this machine"),
        }
    }
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => bare_host(name) == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests;
