//! `mcp-proxy policy bundle` and `policy sign`: a folder of policies as one file, in the layout of OPA.

use std::fs;
use std::path::{Path, PathBuf};

use ::bundle::{Algorithm, Bundle, Files, Manifest, Signer, SigningKey, Verification};
use anyhow::{Context as _, bail};
use policy::Sources;
use rego::syntax::Module;

use crate::{Exit, output};

/// Options of `policy bundle`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy policy bundle policies -o bundle.tar.gz --revision 2026-11-20\n  \
    mcp-proxy policy bundle policies -o bundle.tar.gz --signing-key private.pem --signing-alg ES256 --key-id team\n\n\
    The bundle holds the Rego files without their tests, JSON policies as Rego, and all data as one `data.json`. It \
    means the same to the gateway (see `policy.bundle`) and to OPA. The same folder gives the same bytes.\n\
    Exits 0 when it is written, 2 when the policies are refused or something cannot be read or written.")]
pub(crate) struct BundleArgs {
    /// The folder with policies and data
    dir: PathBuf,

    /// The file that is written
    #[arg(long, short, value_name = "FILE", default_value = "bundle.tar.gz")]
    output: PathBuf,

    /// A name for this state of the policies
    #[arg(long, short, value_name = "NAME")]
    revision: Option<String>,

    /// A path below `data` that the bundle may define, as `mcp/policy`; repeatable [default: all of them]
    #[arg(long = "root", value_name = "PATH")]
    roots: Vec<String>,

    /// The key, for a bundle that is signed
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,

    #[command(flatten)]
    signature: SignatureArgs,
}

/// Options of `policy sign`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy policy sign bundle.tar.gz --signing-key private.pem --signing-alg ES256 --key-id team\n\n\
    A signature that the bundle has is replaced.\n\
    Exits 0 when it is written, 2 when it is no bundle or something cannot be read or written.")]
pub(crate) struct SignArgs {
    /// The bundle
    bundle: PathBuf,

    /// The key
    #[arg(long, value_name = "FILE")]
    signing_key: PathBuf,

    /// The file that is written [default: the bundle itself]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    signature: SignatureArgs,
}

/// How a bundle is signed.
#[derive(Debug, clap::Args)]
struct SignatureArgs {
    /// How it is signed: the key file is a private key in PEM form, or for HS256 the shared key
    #[arg(long, value_name = "ALG", value_enum, default_value_t, requires = "signing_key")]
    signing_alg: Alg,

    /// The name of the key in `policy.bundle.public_keys` or `shared_keys`
    #[arg(long, value_name = "ID", requires = "signing_key")]
    key_id: Option<String>,

    /// What the signature is for, as in `policy.bundle.scope`
    #[arg(long, value_name = "TEXT", requires = "signing_key")]
    scope: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
enum Alg {
    /// RSA and SHA-256
    #[default]
    Rs256,
    /// ECDSA with P-256 and SHA-256
    Es256,
    /// HMAC and SHA-256
    Hs256,
}

pub(super) fn execute(args: &BundleArgs) -> anyhow::Result<Exit> {
    let sources = super::sources(std::slice::from_ref(&args.dir))?;
    let manifest = Manifest {
        revision: args.revision.clone().unwrap_or_default(),
        roots: (!args.roots.is_empty()).then(|| args.roots.clone()),
    };
    check(&sources, &manifest)?;
    let files = files(&sources, &args.dir)?;
    let count = files.len();
    let packed = ::bundle::build(&manifest, files)?;
    // What nobody could read is not handed out, such as data outside of the roots.
    Bundle::read(packed.clone().into(), &Verification::default())?;
    let packed = match &args.signing_key {
        Some(key) => args.signature.sign(&packed, key)?,
        None => packed,
    };
    write(&args.output, &packed)?;
    let signed = if args.signing_key.is_some() { "signed" } else { "not signed" };
    output::note(&format!("wrote `{}`: {count} files, {signed}", args.output.display()));
    Ok(Exit::Done)
}

/// Refuses what no gateway would serve, and packages outside of the roots.
fn check(sources: &Sources, manifest: &Manifest) -> anyhow::Result<()> {
    let modules = rego::load(sources)?.modules;
    let given = |name: &str| sources.policies().iter().any(|file| file.name == name);
    let stray = |module: &&Module| given(&module.file.name) && !manifest.owns(&module.package);
    match modules.iter().find(stray) {
        None => Ok(()),
        Some(module) => bail!(
            "{}: package `{}` is outside of the roots; add it with --root",
            module.file.name,
            module.package.join(".")
        ),
    }
}

pub(super) fn sign(args: &SignArgs) -> anyhow::Result<Exit> {
    let packed = read(&args.bundle)?;
    let signed = args.signature.sign(&packed, &args.signing_key)?;
    let output = args.output.as_ref().unwrap_or(&args.bundle);
    write(output, &signed)?;
    output::note(&format!("wrote `{}`, signed", output.display()));
    Ok(Exit::Done)
}

/// The files of a bundle that decides as the folder does.
fn files(sources: &Sources, dir: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    for file in sources.policies() {
        let path = Path::new(&file.name);
        let mut name = path.strip_prefix(dir).unwrap_or(path).display().to_string();
        if !name.ends_with(".rego") {
            // Made of a JSON policy, and called after it.
            name.push_str(".rego");
        }
        files.insert(name, file.text.as_bytes().to_vec());
    }
    let data = serde_json::to_vec(&sources.merged_data()?)?;
    files.insert("data.json".to_owned(), data);
    Ok(files)
}

impl SignatureArgs {
    fn sign(&self, packed: &[u8], key: &Path) -> anyhow::Result<Vec<u8>> {
        let algorithm = match self.signing_alg {
            Alg::Rs256 => Algorithm::RS256,
            Alg::Es256 => Algorithm::ES256,
            Alg::Hs256 => Algorithm::HS256,
        };
        let text = String::from_utf8(read(key)?)
            .with_context(|| format!("`{}` is no text", key.display()))?;
        // An editor ends a file with a line break, which is no part of a shared key.
        let key = SigningKey::new(algorithm, text.trim_end())
            .with_context(|| format!("in `{}`", key.display()))?;
        let signer =
            Signer { key: &key, key_id: self.key_id.as_deref(), scope: self.scope.as_deref() };
        Ok(::bundle::sign(packed, &signer)?)
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests;
