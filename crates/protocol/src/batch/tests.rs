use super::*;
use crate::{Message, ParseErrorKind};

fn split(body: &str) -> Option<Result<Vec<Bytes>, ParseError>> {
    batch(&Bytes::copy_from_slice(body.as_bytes()))
}

#[test]
fn items_are_slices_of_the_body() {
    #[track_caller]
    fn check(body: &str, items: &[&str]) {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let found = batch(&body).unwrap().unwrap();
        assert_eq!(found, items);
        for item in found {
            assert!(body.as_ptr_range().contains(&item.as_ptr()), "copied");
        }
    }
    check(r#"[{"id":1}]"#, &[r#"{"id":1}"#]);
    check("\r\n\t [ {\"a\" : [1,2]} ,\n{} ] ", &[r#"{"a" : [1,2]}"#, "{}"]);
    // What an item is, is for `Message::parse` to say.
    check(
        r#"[1,[{"id":1}],"x",{"a":1,"a":2}]"#,
        &["1", r#"[{"id":1}]"#, r#""x""#, r#"{"a":1,"a":2}"#],
    );
}

#[test]
fn what_is_no_array_is_no_batch() {
    for body in ["", " ", "{}", "1", "x[", r#"{"a":[]}"#, "\u{feff}[]"] {
        assert_eq!(split(body), None, "{body}");
    }
}

#[test]
fn broken_arrays_are_refused_whole() {
    #[track_caller]
    fn check(body: &str, kind: ParseErrorKind, want: &str) {
        let error = split(body).unwrap().expect_err(body);
        assert_eq!((error.kind, &error.id), (kind, &None), "{body}: {error}");
        assert!(error.to_string().contains(want), "{body}: {error}");
    }
    check("[]", InvalidRequest, "batch is empty");
    check(" [ ] ", InvalidRequest, "batch is empty");
    check("[", Syntax, "the text ends where a value should be");
    check("[{}", Syntax, "the text ends where `,` or `]` should be");
    check("[{},]", Syntax, "found `]` where a value should be");
    check("[,{}]", Syntax, "found `,`");
    check("[{} {}]", Syntax, "found `{`");
    check("[{}] {}", Syntax, "text after the end");
    check(r#"[{"a":1,}]"#, Syntax, "found `}`");
    check("[{}}", Syntax, "found `}`");
    check(&"[".repeat(100_000), Syntax, "nested deeper than");
    check(&format!("[{}0]", "0,".repeat(50)), InvalidRequest, "at most 50 messages");
    check(&format!("[{}0]", "0,".repeat(1_000_000)), InvalidRequest, "at most 50 messages");
    assert_eq!(split(&format!("[{}0]", "0,".repeat(49))).unwrap().unwrap().len(), 50);
    let error = batch(&Bytes::from_static(b"[\"\xff\"]")).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "body is not UTF-8 at byte 2");
}

#[test]
fn an_item_may_be_as_deep_as_a_message() {
    let nested = |depth: usize| {
        let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"x","params":{{"a":{value}}}}}"#)
    };
    for depth in [126, 127] {
        let alone = Message::parse(Bytes::from(nested(depth))).is_ok();
        let item = split(&format!("[{}]", nested(depth))).unwrap();
        assert_eq!(item.is_ok(), alone, "{depth}");
    }
}
