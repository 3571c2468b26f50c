use std::collections::BTreeMap;

use super::{Hashed, SIGNATURES, Signatures, Signer, Verification, hash, sign};
use crate::archive::{pack, unpack};
use crate::fixture::{by, files, keys, packed, signed};
use crate::jws::token;
use crate::{Algorithm, Bundle, Files, VerifyingKey};

fn shared() -> Verification {
    by(keys(Algorithm::HS256).1)
}

/// Signs, changes the files, and says why the bundle is refused.
#[track_caller]
fn check_refused(change: impl FnOnce(&mut Files), expected: &str) {
    let mut files = unpack(&signed(&packed("r1"), &keys(Algorithm::HS256).0)).unwrap();
    change(&mut files);
    let error = Bundle::read(pack(&files).unwrap().into(), &shared()).unwrap_err();
    assert!(error.is_of_content());
    assert!(error.to_string().contains(expected), "{expected} is not in {error}");
}

#[test]
fn what_is_signed_is_read() {
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256] {
        let (signing, verifying) = keys(algorithm);
        let bytes = signed(&packed("r1"), &signing);
        let bundle = Bundle::read(bytes.into(), &by(verifying)).unwrap();
        assert_eq!(bundle.manifest().revision, "r1");
    }
}

#[test]
fn a_bundle_that_is_signed_again_has_one_signature() {
    let (signing, _) = keys(Algorithm::HS256);
    let bytes = signed(&packed("r1"), &signing);
    assert_eq!(signed(&bytes, &signing), bytes);
    let (signing, verifying) = keys(Algorithm::ES256);
    Bundle::read(signed(&bytes, &signing).into(), &by(verifying)).unwrap();
}

#[test]
fn a_file_that_was_changed_left_out_or_added_is_named() {
    let put = |name: &'static str, text: &'static str| {
        move |files: &mut Files| drop(files.insert(name.to_owned(), text.as_bytes().to_vec()))
    };
    let take = |name: &'static str| move |files: &mut Files| drop(files.remove(name));
    check_refused(
        put("policy/a.rego", "package x"),
        "`policy/a.rego` in the bundle is not as it was",
    );
    check_refused(put("tools/data.json", "{\"closed\":[]}"), "`tools/data.json`");
    check_refused(put(".manifest", "{\"revision\":\"r2\"}"), "`.manifest`");
    check_refused(put("b.rego", "package b"), "`b.rego` in the bundle is not signed");
    check_refused(put("README", ""), "`README` in the bundle is not signed");
    check_refused(take("policy/a.rego"), "`policy/a.rego` in the bundle is signed and missing");
    check_refused(take(SIGNATURES), "there is none, and keys are configured");
    check_refused(put(SIGNATURES, "{}"), "is not");
    check_refused(put(SIGNATURES, "{\"signatures\": []}"), "exactly one");
    check_refused(put(SIGNATURES, "{\"signatures\": [\"a.b.c\"]}"), "no signed token");
    // The same document, written otherwise.
    let text = "{ \"closed\" : [ \"write\" ] }\n";
    let mut files = unpack(&signed(&packed("r1"), &keys(Algorithm::HS256).0)).unwrap();
    put("tools/data.json", text)(&mut files);
    Bundle::read(pack(&files).unwrap().into(), &shared()).unwrap();
}

#[track_caller]
fn check_claims(payload: &str, expected: &str) {
    let mut files = files(&[("a.rego", "package a")]);
    let made = token(payload.as_bytes(), &keys(Algorithm::HS256).0, None).unwrap();
    let text = serde_json::to_vec(&Signatures { signatures: vec![made] }).unwrap();
    files.insert(SIGNATURES.to_owned(), text);
    let error = Bundle::read(pack(&files).unwrap().into(), &shared()).unwrap_err().to_string();
    assert!(error.contains(expected), "{expected} is not in {error}");
}

#[test]
fn claims_that_say_too_little_or_too_much_are_refused() {
    let entry = |algorithm| {
        let hash = hash("a.rego", b"package a", "SHA-256").unwrap();
        format!("{{\"name\":\"a.rego\",\"hash\":\"{hash}\",\"algorithm\":\"{algorithm}\"}}")
    };
    let good = entry("SHA-256");
    check_claims("{}", "names no files");
    check_claims("{\"files\":[]}", "`a.rego` in the bundle is not signed");
    check_claims(&format!("{{\"files\":[{good},{good}]}}"), "signed twice");
    check_claims(&format!("{{\"files\":[{}]}}", entry("MD5")), "hashed with `MD5`");
    check_claims(&format!("{{\"files\":[{good}],\"scope\":\"x\"}}"), "its scope is `x`, and none");
    check_claims(&format!("{{\"files\":[{good}],\"keyid\":\"b\"}}"), "no key `b`");
}

#[test]
fn the_key_is_the_one_that_is_asked_for() {
    let (signing, _) = keys(Algorithm::HS256);
    let bytes = signed(&packed("r1"), &signing);
    let key = || keys(Algorithm::HS256).1;
    let read = |verification: &Verification| Bundle::read(bytes.clone().into(), verification);
    let error = |verification: &Verification| read(verification).unwrap_err().to_string();

    assert!(error(&Verification::default()).contains("no key is configured"));
    assert!(Bundle::read(packed("r1").into(), &Verification::default()).is_ok());
    let named = |id: &str, key: VerifyingKey| Verification {
        keys: BTreeMap::from([(id.to_owned(), key)]),
        ..Verification::default()
    };
    assert!(error(&named("b", key())).contains("no key `a` is configured"));
    assert!(error(&by(keys(Algorithm::ES256).1)).contains("the key is for ES256"));
    // What the configuration says goes before what the token says.
    read(&Verification { key_id: Some("b".to_owned()), ..named("b", key()) }).unwrap();
    let scoped = Verification { scope: Some("s".to_owned()), ..by(key()) };
    assert!(error(&scoped).contains("its scope is none, and `s`"));
    let signer = Signer { key: &signing, key_id: None, scope: Some("s") };
    let anonymous = sign(&packed("r1"), &signer).unwrap();
    Bundle::read(anonymous.clone().into(), &scoped).unwrap();
    let mut two = scoped;
    two.keys.insert("b".to_owned(), keys(Algorithm::ES256).1);
    let error = Bundle::read(anonymous.into(), &two).unwrap_err().to_string();
    assert!(error.contains("names no key"), "{error}");
}

#[test]
fn hashes_are_those_of_other_makers() {
    #[track_caller]
    fn check(name: &str, text: &str, algorithm: &str, expected: &str) {
        assert_eq!(hash(name, text.as_bytes(), algorithm).unwrap(), expected, "{name} {text}");
    }
    // `printf '{"a":1}' | sha256sum`
    let document = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862";
    check("x/data.json", "{ \"a\": 1 }", "SHA-256", document);
    check("x/data.yaml", "a: 1", "SHA-256", document);
    check("other.json", "{\"a\":1}", "SHA-256", document);
    check(
        "a.rego",
        "package a",
        "SHA-512",
        "0dd5b30c33d502d64ef2d12a18fbc18fbc81464f6d0888abcbdd2ee632fe73afb4f9d24e7193e32289ac6cef0b7000721af72e94106203d015e5c7f5d09a8662",
    );
    assert_ne!(hash("other.json", b"{ \"a\": 1 }", "SHA-256").unwrap(), document);
    assert!(hash("data.json", b"{", "SHA-256").is_err());
    let upper = Hashed {
        name: "/a".to_owned(),
        hash: document.to_uppercase(),
        algorithm: "SHA-256".to_owned(),
    };
    super::compare(&files(&[("a", "{\"a\":1}")]), &[upper]).unwrap();
}
