use std::collections::BTreeMap;
use std::fs;

use super::{LIMIT, Resolved, resolve};

/// Resolves with `TOKEN=t0ken`, `EMPTY=` and `NESTED=${env:TOKEN}` in the environment.
#[track_caller]
fn check(text: &str, expected: Result<(&str, bool), &str>) {
    let env: BTreeMap<String, String> =
        [("TOKEN", "t0ken"), ("EMPTY", ""), ("NESTED", "${env:TOKEN}")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let resolved = resolve(text, &env);
    match expected {
        Ok((expected, secret)) => {
            assert_eq!(resolved, Ok(Resolved { text: expected.to_owned(), secret }), "{text}");
        }
        Err(part) => {
            let error = resolved.unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

#[test]
fn text_without_references_stays() {
    for text in ["", "plain", "$", "a$b", "$HOME", "$(x)", "}", "ü$ü"] {
        check(text, Ok((text, false)));
    }
}

#[test]
fn variables_are_replaced() {
    check("${env:TOKEN}", Ok(("t0ken", true)));
    check("Bearer ${env:TOKEN}!", Ok(("Bearer t0ken!", true)));
    check("${env:TOKEN}${env:TOKEN}", Ok(("t0kent0ken", true)));
    check("${env:EMPTY}", Ok(("", true)));
    check("${env:NESTED}", Ok(("${env:TOKEN}", true)));
}

#[test]
fn a_dollar_can_be_written() {
    check("$${env:TOKEN}", Ok(("${env:TOKEN}", false)));
    check("$${x}", Ok(("${x}", false)));
}

#[test]
fn what_cannot_be_replaced_is_an_error() {
    check("${env:MISSING}", Err("environment variable `MISSING` is not set; set it or remove"));
    check(
        "${HOME}/x",
        Err("`${HOME}` is no reference; write `${env:NAME}` or `${file:/path}`, or `$${` for"),
    );
    check("${env:TOKEN}${ü", Err("`${ü` is no reference"));
    check("${ü}x", Err("`${ü}` is no reference"));
    check("${", Err("`${` is no reference"));
    check("${ENV:TOKEN}", Err("`${ENV:TOKEN}` is no reference"));
    check("a ${env:TOKEN", Err("has no end; close it with `}`"));
    check("${file:/does/not/exist}", Err("cannot read `/does/not/exist`"));
}

#[test]
fn files_are_read_without_their_last_line_end() {
    let folder = tempfile::tempdir().unwrap();
    for (content, expected) in
        [("s3cret\n", "s3cret"), ("s3cret", "s3cret"), ("a\r\n", "a"), ("a\n\n", "a\n")]
    {
        let path = folder.path().join("secret");
        fs::write(&path, content).unwrap();
        check(&format!("${{file:{}}}", path.display()), Ok((expected, true)));
    }
}

#[test]
fn a_file_that_is_too_large_or_not_text_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large");
    fs::write(&large, vec![b'a'; usize::try_from(LIMIT).unwrap() + 1]).unwrap();
    check(&format!("${{file:{}}}", large.display()), Err("it is larger than 65536 bytes"));
    let binary = folder.path().join("binary");
    fs::write(&binary, [0xff, 0xfe]).unwrap();
    check(&format!("${{file:{}}}", binary.display()), Err("UTF-8"));
}
