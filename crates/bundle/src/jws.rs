//! Tokens signed as RFC 7515 says, in compact form, with one of three algorithms.
//!
//! A key is of one algorithm. What a token says of its algorithm must agree and decides nothing, so that a public key
//! cannot be passed off as a shared one.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Shortest shared key in bytes, the length of the hash (RFC 7518, section 3.2).
const MIN_SHARED: usize = 32;

/// How a token is signed (RFC 7518, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256, under a shared key.
    HS256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// ECDSA with P-256 and SHA-256.
    ES256,
}

impl Algorithm {
    /// The name in a token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
        }
    }
}

/// A key that signatures are verified with.
pub struct VerifyingKey(Verifying);

enum Verifying {
    Shared(Box<hmac::Key>),
    Public(Algorithm, ParsedPublicKey),
}

impl VerifyingKey {
    /// A public key in PEM form (`BEGIN PUBLIC KEY`), RSA or P-256; which of them says the algorithm.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] when it is neither.
    pub fn public(pem: &str) -> Result<Self, Error> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|error| {
            Error::Key(format!("not a public key in PEM form (`BEGIN PUBLIC KEY`): {error}"))
        })?;
        let der = der.as_ref();
        let rsa = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der)
            .map(|key| Verifying::Public(Algorithm::RS256, key));
        let key = rsa.or_else(|_| {
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der)
                .map(|key| Verifying::Public(Algorithm::ES256, key))
        });
        key.map(Self).map_err(|_| {
            Error::Key("neither an RSA key of 2048 bits or more nor one of curve P-256".to_owned())
        })
    }

    /// A shared key.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] when it is shorter than its hash.
    pub fn shared(secret: &str) -> Result<Self, Error> {
        shared(secret).map(|key| Self(Verifying::Shared(key)))
    }

    /// The algorithm that goes with the key.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Verifying::Shared(_) => Algorithm::HS256,
            Verifying::Public(algorithm, _) => *algorithm,
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Verifying::Shared(key) => hmac::verify(key, message, signature).is_ok(),
            Verifying::Public(_, key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// A key that signatures are made with.
pub struct SigningKey(Signing);

enum Signing {
    Shared(Box<hmac::Key>),
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl SigningKey {
    /// A key for `algorithm`: a private key in PEM form, or for HS256 the shared key itself.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] when it does not go with the algorithm.
    pub fn new(algorithm: Algorithm, text: &str) -> Result<Self, Error> {
        let private = || {
            PrivateKeyDer::from_pem_slice(text.as_bytes())
                .map_err(|error| Error::Key(format!("not a private key in PEM form: {error}")))
        };
        let unfit = |_| Error::Key(format!("not a private key for {}", algorithm.as_str()));
        Ok(Self(match algorithm {
            Algorithm::HS256 => Signing::Shared(shared(text)?),
            Algorithm::RS256 => {
                let der = private()?;
                let key = RsaKeyPair::from_pkcs8(der.secret_der());
                Signing::Rsa(
                    key.or_else(|_| RsaKeyPair::from_der(der.secret_der())).map_err(unfit)?,
                )
            }
            Algorithm::ES256 => {
                let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let key = EcdsaKeyPair::from_private_key_der(signing, private()?.secret_der());
                Signing::Ec(key.map_err(unfit)?)
            }
        }))
    }

    const fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Signing::Shared(_) => Algorithm::HS256,
            Signing::Rsa(_) => Algorithm::RS256,
            Signing::Ec(_) => Algorithm::ES256,
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::Key("the signature could not be made".to_owned());
        let random = SystemRandom::new();
        match &self.0 {
            Signing::Shared(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Signing::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Signing::Ec(key) => {
                key.sign(&random, message).map(|made| made.as_ref().to_vec()).map_err(failed)
            }
        }
    }
}

fn shared(secret: &str) -> Result<Box<hmac::Key>, Error> {
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.contains("-----BEGIN") {
        let problem = "a key in PEM form is not a shared key; name it as a public or a private key";
        return Err(Error::Key(problem.to_owned()));
    }
    if secret.len() < MIN_SHARED {
        return Err(Error::Key(format!("a shared key has {MIN_SHARED} bytes or more")));
    }
    Ok(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())))
}

/// What a token says of itself (RFC 7515, section 4.1).
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    /// Extensions that must be understood; none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

/// A token that was taken apart and not yet verified.
pub(crate) struct Token<'a> {
    header: Header,
    /// The claims, which nobody has verified.
    pub(crate) payload: Vec<u8>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Token<'a> {
    /// Takes a token apart; `None` when it is none.
    pub(crate) fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).ok();
        Some(Self {
            header: serde_json::from_slice(&decode(header)?).ok()?,
            payload: decode(payload)?,
            signed,
            signature: decode(signature)?,
        })
    }

    /// The key that it says it is signed with.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Verifies it.
    ///
    /// # Errors
    ///
    /// [`Error::Signature`] when it is signed otherwise.
    pub(crate) fn verify(&self, key: &VerifyingKey) -> Result<(), Error> {
        let refused = |problem: String| Err(Error::Signature(problem));
        let (said, expected) = (&self.header.alg, key.algorithm().as_str());
        if said != expected {
            return refused(format!("it says `{said}`, and the key is for {expected}"));
        }
        if self.header.crit.is_some() {
            return refused("it asks for extensions that are not known".to_owned());
        }
        if !key.verifies(self.signed.as_bytes(), &self.signature) {
            return refused("it was not made with this key, or not of this content".to_owned());
        }
        Ok(())
    }
}

/// Signs `payload`.
///
/// # Errors
///
/// [`Error::Key`] when the key fails.
pub(crate) fn token(
    payload: &[u8],
    key: &SigningKey,
    key_id: Option<&str>,
) -> Result<String, Error> {
    let header = Header {
        alg: key.algorithm().as_str().to_owned(),
        kid: key_id.map(str::to_owned),
        crit: None,
    };
    let header = serde_json::to_vec(&header).map_err(|error| Error::Key(error.to_string()))?;
    let encode = |part: &[u8]| BASE64URL_NOPAD.encode(part);
    let signed = format!("{}.{}", encode(&header), encode(payload));
    let signature = key.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", encode(&signature)))
}

#[cfg(test)]
mod tests;
