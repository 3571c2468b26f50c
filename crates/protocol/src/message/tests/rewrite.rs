//! Rewriting touches the tokens it names and nothing else.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(body: &str, rewrite: Rewrite<'_>, want: &str) {
    let message = parse(body).unwrap();
    assert_eq!(message.rewrite(&rewrite), want.as_bytes());
}

#[test]
fn each_token_is_replaced_where_it_stands() {
    let all = Rewrite {
        id: Some("99"),
        cancelled_id: Some("98"),
        result: Some("{}"),
        progress_token: Some("97"),
        subscription_id: Some("96"),
    };
    check(
        r#"{"jsonrpc":"2.0", "params":{ "_meta": {"progressToken" :1 } }, "id": "abc" ,"method":"x"}"#,
        all,
        r#"{"jsonrpc":"2.0", "params":{ "_meta": {"progressToken" :97 } }, "id": 99 ,"method":"x"}"#,
    );
    check(
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"a","progress":1}}"#,
        all,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":97,"progress":1}}"#,
    );
    check(
        r#"{"jsonrpc":"2.0","method":"x","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#,
        all,
        r#"{"jsonrpc":"2.0","method":"x","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":96}}}"#,
    );
    check(
        r#"{"id":1,"jsonrpc":"2.0","result":{"a":[1]}}"#,
        all,
        r#"{"id":99,"jsonrpc":"2.0","result":{}}"#,
    );
    check(
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        all,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":98}}"#,
    );
    check(
        r#"{"jsonrpc":"2.0","result":{"a":[1]},"id":1}"#,
        all,
        r#"{"jsonrpc":"2.0","result":{},"id":99}"#,
    );
}

#[test]
fn a_token_inside_a_result_goes_with_the_result() {
    let body = r#"{"id":1,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":2}},"jsonrpc":"2.0"}"#;
    let subscription = Rewrite { subscription_id: Some("33"), ..Rewrite::default() };
    check(
        body,
        Rewrite { id: Some("44"), ..subscription },
        r#"{"id":44,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":33}},"jsonrpc":"2.0"}"#,
    );
    let both = Rewrite { result: Some("{}"), ..subscription };
    check(body, both, r#"{"id":1,"result":{},"jsonrpc":"2.0"}"#);
}

#[test]
fn what_is_not_there_is_not_added() {
    for body in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#,
    ] {
        let message = parse(body).unwrap();
        assert_eq!(message.with_id("1"), body.as_bytes());
        assert_eq!(message.with_cancelled_id("1"), body.as_bytes());
        assert_eq!(message.rewrite(&Rewrite::default()), body.as_bytes());
    }
}

#[test]
fn the_short_forms_do_the_same() {
    let request = parse(r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#).unwrap();
    assert_eq!(request.with_id("22"), r#"{"jsonrpc":"2.0","id":22,"method":"x"}"#.as_bytes());
    let cancelled =
        parse(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}"#)
            .unwrap();
    assert_eq!(parse(cancelled.with_cancelled_id("3")).unwrap().cancelled_id(), Some("3"));
}

proptest! {
    #[test]
    fn another_id_changes_only_the_id(
        old in any::<i64>(),
        new in any::<u64>(),
        text in any::<String>(),
        white in "[ \t\n]{0,3}",
        id_first in any::<bool>(),
    ) {
        let text = serde_json::to_string(&text).unwrap();
        let body = |id: &str| {
            let id = format!(r#""id"{white}:{white}{id}{white}"#);
            let rest = format!(r#""jsonrpc":"2.0","method":"x","params":{{"id":{old},"t":{text}}}"#);
            if id_first { format!("{{{id},{rest}}}") } else { format!("{white}{{{rest},{id}}}") }
        };
        let message = parse(body(&old.to_string())).unwrap();
        let rewritten = message.with_id(&new.to_string());
        prop_assert_eq!(&rewritten, &body(&new.to_string()));
        prop_assert_eq!(Message::parse(rewritten).unwrap().with_id(&old.to_string()), message.bytes());
    }
}
