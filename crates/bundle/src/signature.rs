//! `.signatures.json`: one token that names every other file of the bundle with its hash.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::archive::{Files, normal, pack, unpack};
use crate::canonical::canonical;
use crate::content::parse;
use crate::jws::{self, Token};
use crate::{Error, Manifest, SigningKey, VerifyingKey};

/// Its name in a bundle.
pub(crate) const SIGNATURES: &str = ".signatures.json";

#[derive(Serialize, Deserialize)]
struct Signatures {
    signatures: Vec<String>,
}

/// What is signed.
#[derive(Serialize, Deserialize)]
struct Claims {
    files: Vec<Hashed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Hashed {
    name: String,
    hash: String,
    algorithm: String,
}

/// What a bundle must be signed with. Without keys, bundles must not be signed: nobody could say by whom.
#[derive(Default)]
pub struct Verification {
    /// The keys by name.
    pub keys: BTreeMap<String, VerifyingKey>,
    /// The key that must have been used, whatever the token says.
    pub key_id: Option<String>,
    /// The scope that the token must be for.
    pub scope: Option<String>,
}

impl Verification {
    /// Checks the signature, and every file against it.
    pub(crate) fn verify(&self, files: &Files) -> Result<(), Error> {
        let refused = |problem: &str| Err(Error::Signature(problem.to_owned()));
        let text = match (files.get(SIGNATURES), self.keys.is_empty()) {
            (None, true) => return Ok(()),
            (None, false) => return refused("there is none, and keys are configured"),
            (Some(_), true) => {
                return refused("no key is configured that it could be verified with");
            }
            (Some(text), false) => text,
        };
        let Ok(Signatures { signatures }) = serde_json::from_slice(text) else {
            return refused("`.signatures.json` is not `{\"signatures\": [TOKEN]}`");
        };
        let [token] = signatures.as_slice() else {
            return refused("`.signatures.json` must hold exactly one token");
        };
        let Some(token) = Token::parse(token) else {
            return refused("`.signatures.json` holds no signed token");
        };
        let Ok(claims) = serde_json::from_slice::<Claims>(&token.payload) else {
            return refused("the token names no files");
        };
        // The payload says no more here than which key to try.
        token.verify(self.key(token.key_id().or(claims.keyid.as_deref()))?)?;
        if claims.scope != self.scope {
            let shown = |scope: &Option<String>| match scope {
                Some(scope) => format!("`{scope}`"),
                None => "none".to_owned(),
            };
            let (found, wanted) = (shown(&claims.scope), shown(&self.scope));
            return refused(&format!("its scope is {found}, and {wanted} is configured"));
        }
        compare(files, &claims.files)
    }

    fn key(&self, named: Option<&str>) -> Result<&VerifyingKey, Error> {
        let refused = |problem| Err(Error::Signature(problem));
        let Some(id) = self.key_id.as_deref().or(named) else {
            let mut keys = self.keys.values();
            return match (keys.next(), keys.next()) {
                (Some(only), None) => Ok(only),
                _ => refused("it names no key; set `policy.bundle.key_id`".to_owned()),
            };
        };
        match self.keys.get(id) {
            Some(key) => Ok(key),
            None => refused(format!("no key `{id}` is configured")),
        }
    }
}

/// Checks that the files are exactly those that are signed.
fn compare(files: &Files, signed: &[Hashed]) -> Result<(), Error> {
    let mut expected = BTreeMap::new();
    for hashed in signed {
        let name = normal(&hashed.name).unwrap_or_default();
        if expected.insert(name, hashed).is_some() {
            return Err(Error::entry(&hashed.name, "is signed twice"));
        }
    }
    for (name, content) in files.iter().filter(|(name, _)| *name != SIGNATURES) {
        let Some(hashed) = expected.remove(name) else {
            return Err(Error::entry(name, "is not signed"));
        };
        if hash(name, content, &hashed.algorithm)? != hashed.hash.to_ascii_lowercase() {
            return Err(Error::entry(name, "is not as it was signed"));
        }
    }
    match expected.into_values().next() {
        Some(missing) => Err(Error::entry(&missing.name, "is signed and missing")),
        None => Ok(()),
    }
}

/// The hash of a file: over the canonical form of the documents that OPA reads, over the bytes of all others.
fn hash(name: &str, content: &[u8], algorithm: &str) -> Result<String, Error> {
    let algorithm = match algorithm {
        "SHA-256" => &SHA256,
        "SHA-384" => &SHA384,
        "SHA-512" => &SHA512,
        _ => {
            let problem = format!("is hashed with `{algorithm}`; use SHA-256, SHA-384 or SHA-512");
            return Err(Error::entry(name, problem));
        }
    };
    let base = name.rsplit('/').next().unwrap_or(name);
    let unread = || Error::entry(name, "is no JSON or YAML document");
    let form = match base {
        "data.json" | Manifest::NAME => {
            let text = str::from_utf8(content).map_err(|_| unread())?;
            Some(canonical(text).ok_or_else(unread)?)
        }
        "data.yaml" => {
            let text = str::from_utf8(content).map_err(|_| unread())?;
            let value = parse(base, text).map_err(|_| unread())?;
            Some(canonical(&value.to_string()).ok_or_else(unread)?)
        }
        _ => None,
    };
    let hashed = form.as_deref().map_or(content, str::as_bytes);
    Ok(HEXLOWER.encode(digest::digest(algorithm, hashed).as_ref()))
}

/// Who signs a bundle.
pub struct Signer<'a> {
    /// The key.
    pub key: &'a SigningKey,
    /// The name of the key, for who verifies.
    pub key_id: Option<&'a str>,
    /// What the signature is for; bundles of another scope are refused.
    pub scope: Option<&'a str>,
}

/// Signs a bundle, in the place of a signature that it may have.
///
/// # Errors
///
/// [`Error::Archive`] and [`Error::Entry`] when it is no bundle, [`Error::Key`] when the key fails.
pub fn sign(packed: &[u8], signer: &Signer<'_>) -> Result<Vec<u8>, Error> {
    let mut files = unpack(packed)?;
    files.remove(SIGNATURES);
    let hashed = files.iter().map(|(name, content)| {
        let algorithm = "SHA-256".to_owned();
        Ok(Hashed { name: name.clone(), hash: hash(name, content, &algorithm)?, algorithm })
    });
    let claims = Claims {
        files: hashed.collect::<Result<_, Error>>()?,
        keyid: signer.key_id.map(str::to_owned),
        scope: signer.scope.map(str::to_owned),
    };
    let unwritten = |error: serde_json::Error| Error::entry(SIGNATURES, error.to_string());
    let payload = serde_json::to_vec(&claims).map_err(unwritten)?;
    let token = jws::token(&payload, signer.key, signer.key_id)?;
    let text = serde_json::to_vec(&Signatures { signatures: vec![token] }).map_err(unwritten)?;
    files.insert(SIGNATURES.to_owned(), text);
    pack(&files)
}

#[cfg(test)]
mod tests;
