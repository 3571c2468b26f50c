use serde_json::{Value, json};

use super::{example, sample};
use crate::pattern::FORMATS;

#[test]
fn examples_are_of_their_format() {
    for (name, pattern) in FORMATS {
        let text = example(name);
        assert!(regex::Regex::new(pattern).unwrap().is_match(text), "{text} is no {name}");
    }
}

#[track_caller]
fn check(rung: Value, expected: Value) {
    assert_eq!(sample(&rung), expected, "{rung}");
}

#[test]
fn samples_are_on_their_rung() {
    check(json!({ "rung": "one_of", "values": [2, 3] }), json!(2));
    check(json!({ "rung": "prefix", "format": "path", "prefix": ["", "srv"] }), json!("/srv"));
    check(
        json!({ "rung": "host_suffix", "scheme": "https:", "host": ["example", "com"] }),
        json!("https://example.com"),
    );
    check(json!({ "rung": "range", "min": 3, "max": 9, "whole": true }), json!(3));
    check(json!({ "rung": "type", "types": ["boolean"] }), json!(true));
    check(json!({ "rung": "type", "types": ["number", "string"] }), json!(1));
    check(json!({ "rung": "type", "types": ["null", "string"] }), json!(null));
    check(json!({ "rung": "type", "types": ["string"] }), json!("text"));
    check(json!({ "rung": "type", "types": ["array"] }), json!([]));
    let members = json!({ "a": { "rung": "any" }, "b": { "rung": "type", "types": ["array"], "items": { "rung": "const", "values": ["x"] } } });
    check(
        json!({ "rung": "type", "types": ["object"], "members": members }),
        json!({ "a": {}, "b": ["x"] }),
    );
}
