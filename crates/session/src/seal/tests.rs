use std::time::{Duration, SystemTime};

use domain::{Handshake, SessionId, SessionToken};

use super::{MAX_TOKEN, Sealed, Subject, seal, unseal};
use crate::fixture::{INITIALIZE, handshake};
use crate::keys::Keys;

fn keys() -> Keys {
    Keys::new(&[1; 32], &[]).unwrap()
}

fn sealed(handshake: &Handshake) -> Option<SessionToken> {
    let id = SessionId::from("s-1");
    let started_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    seal(&keys(), 'f', &Subject { id: &id, principal: "agent \"1\"", started_at, handshake })
}

fn open(token: &str, principal: &str) -> Option<Sealed> {
    unseal(&keys(), token, principal)
}

#[test]
fn a_token_says_how_the_session_began() {
    let token = sealed(&handshake(INITIALIZE)).unwrap();
    assert!(token.expose().bytes().all(|byte| byte.is_ascii_graphic()));
    let found = open(token.expose(), "agent \"1\"").unwrap();
    assert_eq!(found.id.as_str(), "s-1");
    let since = found.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(since.as_millis(), 1_700_000_000_123);
    let (there, back) = (handshake(INITIALIZE), found.handshake);
    assert_eq!(back.initialize, there.initialize);
    assert_eq!((back.version, back.server_version), (there.version, there.server_version));
    assert_eq!(back.server_session, there.server_session);
}

#[test]
fn a_session_without_an_id_at_the_server_has_none_afterwards() {
    let local = Handshake { server_session: None, ..handshake(INITIALIZE) };
    let token = sealed(&local).unwrap();
    assert_eq!(open(token.expose(), "agent \"1\"").unwrap().handshake.server_session, None);
}

#[test]
fn a_token_is_worth_nothing_to_others() {
    let token = sealed(&handshake(INITIALIZE)).unwrap();
    for principal in ["agent \"2\"", "agent", ""] {
        assert!(open(token.expose(), principal).is_none(), "{principal}");
    }
    let foreign = Keys::new(&[2; 32], &[]).unwrap();
    assert!(unseal(&foreign, token.expose(), "agent \"1\"").is_none());
}

#[test]
fn another_spelling_of_a_token_is_none() {
    let token = sealed(&handshake(INITIALIZE)).unwrap();
    let token = token.expose();
    let spellings = [
        format!("{token}="),
        format!("{token} "),
        format!(" {token}"),
        token.replacen('f', "e", 1),
        token.replacen('f', "é", 1),
        token.chars().skip(1).collect(),
        token.chars().take(token.len() - 1).collect(),
        String::new(),
    ];
    for spelling in spellings {
        assert!(open(&spelling, "agent \"1\"").is_none(), "{spelling}");
    }
}

fn initialize(name: usize, capabilities: usize) -> String {
    let (more, capability) = ("m".repeat(name), "c".repeat(capabilities));
    format!(
        r#"{{ "jsonrpc":"2.0", "id":"a", "method":"initialize", "params":{{"protocolVersion":"2025-11-25","capabilities":{{"experimental":{{"{capability}":{{}}}}}},"clientInfo":{{"name":"n","title":"{more}","version":"1"}},"_meta":{{"x":1}}}}}}"#
    )
}

/// What is left of an `initialize` with a title and a capability of these lengths.
#[track_caller]
fn check(title: usize, capability: usize, expected: Option<&str>) {
    let handshake = handshake(&initialize(title, capability));
    let found = sealed(&handshake).map(|token| {
        assert!(token.expose().len() <= MAX_TOKEN);
        open(token.expose(), "agent \"1\"").unwrap().handshake.initialize
    });
    assert_eq!(found.as_deref(), expected.map(str::as_bytes));
}

#[test]
fn a_long_handshake_is_reduced_and_a_longer_one_is_not_sealed() {
    check(10, 1, Some(&initialize(10, 1)));
    check(2_000, 500, Some(&initialize(2_000, 500)));
    let reduced = r#"{"jsonrpc":"2.0","id":"a","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"experimental":{"c":{}}},"clientInfo":{"name":"n","version":"1"}}}"#;
    check(4_000, 1, Some(reduced));
    check(10, 4_000, None);
}
