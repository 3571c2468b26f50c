use ::bundle::VerifyingKey;
use policy::PolicySet;
use tempfile::TempDir;

use super::*;

const POLICY: &str =
    "package mcp.policy\n\nimport rego.v1\n\ndeny contains \"no\" if input.tool in data.burning\n";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const JSON_POLICY: &str = r#"{"name": "office", "version": "1.0", "rules": [
    {"id": "no-shredding", "type": "blocklist", "conditions": {"match_type": "tool", "values": ["shred"]}}]}"#;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("policies/a/burn.rego", POLICY),
        ("policies/a/burn_test.rego", "package t\n\ntest_a if true\n"),
        ("policies/a/burn.yaml", "burning: [burn]\n"),
        ("policies/json/office.json", JSON_POLICY),
        ("key", "0123456789abcdef0123456789abcdef\n"),
    ] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn args(folder: &TempDir) -> BundleArgs {
    BundleArgs {
        dir: folder.path().join("policies"),
        output: folder.path().join("b.tar.gz"),
        revision: Some("7".to_owned()),
        roots: Vec::new(),
        signing_key: None,
        signature: signature(),
    }
}

fn signature() -> SignatureArgs {
    let (key_id, scope) = (Some("team".to_owned()), Some("write".to_owned()));
    SignatureArgs { signing_alg: Alg::Hs256, key_id, scope }
}

fn verification() -> Verification {
    let key = VerifyingKey::shared(SECRET).unwrap();
    Verification {
        keys: [("team".to_owned(), key)].into(),
        key_id: None,
        scope: Some("write".into()),
    }
}

#[test]
fn a_bundle_decides_as_its_folder() {
    let folder = folder();
    assert_eq!(execute(&args(&folder)).unwrap(), Exit::Done);
    let packed = fs::read(folder.path().join("b.tar.gz")).unwrap();
    let bundle = Bundle::read(packed.into(), &Verification::default()).unwrap();
    assert_eq!(bundle.manifest().revision, "7");
    let names: Vec<&str> = bundle.policies().iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["a/burn.rego", "json/office.json.rego"]);
    let data: Vec<_> = bundle.documents().iter().map(|it| it.value.to_string()).collect();
    assert_eq!(data, [r#"{"burning":["burn"]}"#]);
    let mut texts: Vec<(&str, &str)> =
        bundle.policies().iter().map(|(name, text)| (&**name, &**text)).collect();
    texts.push(("data.json", &data[0]));
    PolicySet::load(&Sources::from_texts(&texts).unwrap(), &policy::Config::default()).unwrap();
}

#[test]
fn the_same_folder_gives_the_same_bytes() {
    let (one, other) = (folder(), folder());
    let packed = |folder: &TempDir| {
        execute(&args(folder)).unwrap();
        fs::read(folder.path().join("b.tar.gz")).unwrap()
    };
    assert_eq!(packed(&one), packed(&other));
}

#[test]
fn a_signature_is_made_with_the_bundle_or_after() {
    let folder = folder();
    let file = |name| folder.path().join(name);
    let signed =
        BundleArgs { signing_key: Some(file("key")), output: file("s.tar.gz"), ..args(&folder) };
    execute(&signed).unwrap();
    execute(&args(&folder)).unwrap();
    let after = SignArgs {
        bundle: file("b.tar.gz"),
        signing_key: file("key"),
        output: None,
        signature: signature(),
    };
    assert_eq!(sign(&after).unwrap(), Exit::Done);
    let [one, other] = ["s.tar.gz", "b.tar.gz"].map(|name| fs::read(file(name)).unwrap());
    assert_eq!(one, other);
    Bundle::read(one.clone().into(), &verification()).unwrap();
    let wrong = Verification { scope: None, ..verification() };
    Bundle::read(one.into(), &wrong).unwrap_err();
}

#[track_caller]
fn check_no_answer(outcome: anyhow::Result<Exit>, mentions: &str) {
    let error = format!("{:#}", outcome.unwrap_err());
    assert!(error.contains(mentions), "{error}");
}

#[test]
fn what_cannot_serve_is_not_packed() {
    let folder = folder();
    let file = |name| folder.path().join(name);
    let roots = vec!["mcp".to_owned()];
    check_no_answer(execute(&BundleArgs { roots, ..args(&folder) }), "burning");
    let roots = vec!["burning".to_owned()];
    check_no_answer(
        execute(&BundleArgs { roots, ..args(&folder) }),
        "package `mcp.policy` is outside",
    );
    let missing = Some(file("no.pem"));
    check_no_answer(execute(&BundleArgs { signing_key: missing, ..args(&folder) }), "no.pem");
    let rsa = SignatureArgs { signing_alg: Alg::Rs256, ..signature() };
    let unfit = BundleArgs { signing_key: Some(file("key")), signature: rsa, ..args(&folder) };
    check_no_answer(execute(&unfit), "not a private key");
    let key = SignArgs {
        bundle: file("key"),
        signing_key: file("key"),
        output: None,
        signature: signature(),
    };
    check_no_answer(sign(&key), "no complete `tar.gz`");
    fs::write(file("policies/a/burn.rego"), "package mcp.policy\n\ndeny contains").unwrap();
    check_no_answer(execute(&args(&folder)), "burn.rego:3");
    assert!(!file("b.tar.gz").exists());
}
