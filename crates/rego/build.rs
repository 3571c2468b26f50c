//! Lists the files of the folder `policies` of this repository, without tests and schemas, so that the program carries
//! all of them and nobody has to keep a list.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let policies = here.join("../../policies").canonicalize()?;
    let mut files = Vec::new();
    collect(&policies, &mut files)?;
    files.sort();
    let mut list = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix(&policies).unwrap_or(file).to_string_lossy();
        let path = file.to_string_lossy();
        list.push_str(&format!("    (\"policies/{name}\", include_str!({path:?})),\n"));
    }
    list.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("shipped.rs"), list)?;
    Ok(())
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    rerun_if_changed(dir);
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "schema" {
            continue;
        }
        if path.is_dir() {
            collect(&path, into)?;
        } else if is_source(&name) {
            into.push(path);
        }
    }
    Ok(())
}

/// As `Sources::from_dir` reads a folder, apart from the tests.
fn is_source(name: &str) -> bool {
    let wanted = [".rego", ".json", ".yaml", ".yml"].iter().any(|ending| name.ends_with(ending));
    wanted && !name.ends_with("_test.rego")
}

fn rerun_if_changed(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}
