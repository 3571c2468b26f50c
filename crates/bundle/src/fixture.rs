//! Bundles and keys for tests.

use std::collections::BTreeMap;

use crate::{Algorithm, Files, Manifest, Signer, SigningKey, Verification, VerifyingKey, build};

/// A shared key.
pub(crate) const SHARED: &str = "0123456789abcdef0123456789abcdef";

/// Files by name and text.
pub(crate) fn files(texts: &[(&str, &str)]) -> Files {
    texts.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

/// A bundle of one rule and its data, under this revision.
pub(crate) fn packed(revision: &str) -> Vec<u8> {
    let manifest = Manifest { revision: revision.to_owned(), roots: None };
    let texts = [
        ("policy/a.rego", "package mcp.policy\n\ndeny if input.tool in data.tools.closed\n"),
        ("tools/data.json", "{\"closed\": [\"write\"]}"),
    ];
    build(&manifest, files(&texts)).unwrap()
}

/// A pair of keys for `algorithm`.
pub(crate) fn keys(algorithm: Algorithm) -> (SigningKey, VerifyingKey) {
    match algorithm {
        Algorithm::HS256 => {
            (SigningKey::new(algorithm, SHARED).unwrap(), VerifyingKey::shared(SHARED).unwrap())
        }
        Algorithm::RS256 | Algorithm::ES256 => {
            let (private, public) = pem(algorithm);
            (SigningKey::new(algorithm, &private).unwrap(), VerifyingKey::public(&public).unwrap())
        }
    }
}

/// A new private and its public key in PEM form.
pub(crate) fn pem(algorithm: Algorithm) -> (String, String) {
    let kind = match algorithm {
        Algorithm::RS256 => &rcgen::PKCS_RSA_SHA256,
        Algorithm::HS256 | Algorithm::ES256 => &rcgen::PKCS_ECDSA_P256_SHA256,
    };
    let pair = rcgen::KeyPair::generate_for(kind).unwrap();
    (pair.serialize_pem(), pair.public_key_pem())
}

/// The bundle, signed as `a` for no scope.
pub(crate) fn signed(packed: &[u8], key: &SigningKey) -> Vec<u8> {
    crate::sign(packed, &Signer { key, key_id: Some("a"), scope: None }).unwrap()
}

/// Asks for bundles signed by the key `a`.
pub(crate) fn by(key: VerifyingKey) -> Verification {
    Verification { keys: BTreeMap::from([("a".to_owned(), key)]), ..Verification::default() }
}
