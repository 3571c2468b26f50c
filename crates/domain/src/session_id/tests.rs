use std::collections::{BTreeSet, HashSet};

use super::{SessionId, SessionToken};

/// A part of whatever would print a session.
#[derive(Debug)]
#[expect(dead_code, reason = "it is printed")]
struct Printed {
    token: Option<SessionToken>,
}

#[test]
fn a_token_is_never_printed() {
    let token = SessionToken::random();
    let printed = Printed { token: Some(token.clone()) };
    for text in [format!("{printed:?}"), format!("{printed:#?}")] {
        assert!(text.contains("***") && !text.contains(token.expose()), "{text}");
    }
}

#[test]
fn tokens_are_random_visible_and_found_by_their_text() {
    let tokens: HashSet<SessionToken> = (0..1000).map(|_| SessionToken::random()).collect();
    assert_eq!(tokens.len(), 1000);
    for token in &tokens {
        let text = token.expose();
        assert_eq!(text.len(), 64);
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        assert!(tokens.contains(text), "the text alone finds it");
    }
}

#[test]
fn the_public_name_says_nothing_of_the_token() {
    let names: BTreeSet<SessionId> = (0..1000).map(|_| SessionId::random()).collect();
    assert_eq!(names.len(), 1000);
    for name in &names {
        assert!(name.as_str().starts_with("s-"));
        assert_eq!(name.to_string(), name.as_str());
    }
}
