use super::*;

fn check(files: &[(&str, &str)], strict: bool) -> anyhow::Result<Exit> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let dirs = vec![dir.path().to_owned()];
    execute(&CheckArgs { dirs, strict, config: None, format: Format::Sarif })
}

#[test]
fn the_exit_code_says_whether_the_gateway_would_load_it() {
    let sound = (
        "a.rego",
        "package mcp.policy\n\nimport rego.v1\n\ndeny contains \"no\" if input.tool == \"x\"\n",
    );
    assert_eq!(check(&[sound], true).unwrap(), Exit::Done);
    let constant_key =
        ("a.rego", "package mcp.policy\n\nimport rego.v1\n\ndeny[\"no\"] if input.tool == \"x\"\n");
    assert_eq!(
        check(
            &[("old.rego", "package mcp.policy\n\ndeny[m] { m := input.tool; m == \"x\" }\n")],
            false
        )
        .unwrap(),
        Exit::Done
    );
    assert_eq!(
        check(
            &[("old.rego", "package mcp.policy\n\ndeny[m] { m := input.tool; m == \"x\" }\n")],
            true
        )
        .unwrap(),
        Exit::No
    );
    assert_eq!(
        check(&[constant_key], false).unwrap(),
        Exit::No,
        "a constant key of an object rule is refused"
    );
    let mistyped =
        ("a.rego", "package mcp.policy\n\nimport rego.v1\n\ndeny if input.tol == \"x\"\n");
    assert_eq!(check(&[mistyped], false).unwrap(), Exit::No);
    assert_eq!(check(&[sound, ("json/p.json", "{}")], false).unwrap(), Exit::No);
    let args = CheckArgs {
        dirs: vec!["no/such/folder".into()],
        strict: false,
        config: None,
        format: Format::Pretty,
    };
    assert!(execute(&args).unwrap_err().to_string().contains("no/such/folder"));
}
