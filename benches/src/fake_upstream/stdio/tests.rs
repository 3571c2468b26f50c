use super::super::Era;
use super::*;

/// Two calls that count alike, with the envelope of 2026-07-28.
const CALL: &str = r#"{"jsonrpc":"2.0","id":ID,"method":"tools/call","params":{"name":"echo","arguments":{"message":"TEXT"},"_meta":{"progressToken":0,"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

fn call(id: &str, text: &str) -> String {
    CALL.replace("ID", id).replace("TEXT", text)
}

#[track_caller]
fn check(behaviour: Behaviour, lines: &[&str], want: &[&str]) {
    let got = answer(&Echo::new(behaviour), lines.join("\n").as_bytes());
    let got = String::from_utf8(got).unwrap();
    let got: Vec<_> = got.lines().collect();
    assert_eq!(got.len(), want.len(), "{got:#?}");
    for (got, want) in got.iter().zip(want) {
        assert!(got.contains(want), "`{got}` does not hold `{want}`");
    }
}

#[test]
fn what_comes_together_is_answered_backwards_and_progress_first() {
    let behaviour = Behaviour { stream: 1, ..Behaviour::default() };
    check(
        behaviour,
        &[&call("1", "a"), &call("2", "b")],
        &[
            r#""progressToken":0,"progress":1,"total":1,"message":"a""#,
            r#""progressToken":0,"progress":1,"total":1,"message":"b""#,
            r#""id":2,"result":{"resultType":"complete","content":[{"type":"text","text":"b"}]"#,
            r#""id":1,"result":{"resultType":"complete","content":[{"type":"text","text":"a"}]"#,
        ],
    );
}

#[test]
fn listeners_hear_of_their_resource_until_they_cancel() {
    let listen = r#"{"jsonrpc":"2.0","id":"x","method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"notifications":{"resourceSubscriptions":["echo://x"]}}}"#;
    let cancel =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}"#;
    let behaviour = Behaviour { update_every: 1, ..Behaviour::default() };
    check(
        behaviour,
        &[listen, &call("1", "a"), cancel, &call("2", "b")],
        &[
            r#"acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"x"}"#,
            r#"updated","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"x"},"uri":"echo://x"}"#,
            r#""id":2,"#,
            r#""id":1,"#,
        ],
    );
}

#[test]
fn a_server_of_one_era_refuses_the_other() {
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
    let discover = r#"{"jsonrpc":"2.0","id":0,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    let modern = Behaviour { era: Era::Modern, ..Behaviour::default() };
    let legacy = Behaviour { era: Era::Legacy, ..Behaviour::default() };
    check(modern, &[initialize], &["-32022"]);
    check(modern, &[discover], &["supportedVersions"]);
    check(legacy, &[initialize], &[r#""protocolVersion":"2025-11-25""#]);
    check(legacy, &[discover], &["-32601"]);
}
