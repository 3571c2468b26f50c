//! OPA bundles: policies and their data as one file, signed or not, fetched or not.
//!
//! A bundle is a gzipped tar archive with `.manifest` (revision, roots), Rego files, and data at the path of its folder
//! (`a/b/data.json` is `data.a.b`). `.signatures.json` holds one signed token that names every other file with its hash.
//! Invariants:
//!
//! - **What was not verified is never looked at.** With keys, every byte that becomes policy is covered by a signature;
//!   the algorithm is the key's own and never what the token says.
//! - **Bounded.** Packed and unpacked size, number of files, time to fetch.
//! - **Nothing is unpacked to disk.** Names are names inside the bundle.
//! - **Reproducible.** The same files give the same bytes.
//!
//! What it deliberately does not do: Rego. Whether modules keep to the roots is asked by who parses them
//! ([`Manifest::owns`]).

mod archive;
mod canonical;
mod config;
mod content;
mod error;
mod fetch;
#[cfg(test)]
mod fixture;
mod jws;
mod keep;
mod manifest;
mod signature;

pub use archive::Files;
pub use config::Config;
pub use content::{Bundle, Document, build};
pub use error::Error;
pub use fetch::Fetcher;
pub use jws::{Algorithm, SigningKey, VerifyingKey};
pub use keep::{keep, read_file};
pub use manifest::Manifest;
pub use signature::{Signer, Verification, sign};
