use std::fs;
use std::path::{Path, PathBuf};

use super::{comment, render_docs, render_yaml};
use crate::catalog::Section;
use crate::{Origin, Settings};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The committed file is what the code would write; `MCP_PROXY_UPDATE=1` writes it.
#[track_caller]
fn check_fresh(file: &str, generated: &str) {
    let path = repository().join(file);
    if std::env::var_os("MCP_PROXY_UPDATE").is_some_and(|it| it == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{file} is stale: run `MCP_PROXY_UPDATE=1 cargo test -p settings` and commit it"
    );
}

#[test]
fn the_committed_file_is_fresh() {
    check_fresh("config/proxy.yaml", &render_yaml());
}

#[test]
fn the_committed_reference_is_fresh() {
    check_fresh("docs/configuration.md", &render_docs());
}

#[test]
fn the_rendered_file_sets_every_key_to_its_default() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.yaml");
    fs::write(&path, render_yaml()).unwrap();
    let loaded = Settings::load(Some(&path), std::iter::empty()).unwrap();
    assert_eq!(loaded.settings, Settings::default());
    let unset: Vec<_> =
        loaded.origins.iter().filter(|(_, origin)| **origin == Origin::Default).collect();
    assert_eq!(unset, []);
}

#[test]
fn the_reference_names_every_key_and_variable() {
    let docs = render_docs();
    let root = Section::root();
    for leaf in root.leaves() {
        assert!(docs.contains(&format!("| `{}` | ", leaf.path)), "{}", leaf.path);
    }
    for name in root.variables().keys().filter(|name| !name.contains("__")) {
        let named = docs.contains(&format!("`{name}`"));
        // Mappings are written in the file.
        let mapping = [
            "MCP_POLICY_BUNDLE_PUBLIC_KEYS",
            "MCP_POLICY_BUNDLE_SHARED_KEYS",
            "MCP_POLICY_RULES",
            "MCP_UPSTREAM_ENV",
        ];
        let mapping = mapping.contains(&name.as_str());
        assert_eq!(named, !mapping, "{name}");
    }
}

#[test]
fn tables_have_as_many_cells_in_each_row() {
    for line in render_docs().lines().filter(|line| line.starts_with("| `")) {
        let cells = line.replace("\\|", "").matches('|').count();
        assert!(cells == 6 || cells == 3, "{line}");
    }
}

#[test]
fn comments_are_wrapped_and_indented() {
    let mut out = String::new();
    comment(&mut out, "  ", &"word ".repeat(40));
    assert!(out.lines().count() > 1);
    for line in out.lines() {
        assert!(line.starts_with("  # word") && line.len() <= super::WIDTH, "{line}");
    }
    out.clear();
    comment(&mut out, "", "");
    assert_eq!(out, "");
}

#[test]
fn lines_are_short_enough_to_read() {
    for line in render_yaml().lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
}

#[test]
fn the_schema_describes_every_key_and_forbids_others() {
    let schema = Settings::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    for section in [
        "version", "server", "session", "upstream", "agent", "policy", "approval", "limits",
        "audit", "metrics", "health", "admin", "logging",
    ] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
}
