use proptest::prelude::*;

use super::*;
use crate::fixture::{Log, call};
use crate::pattern::FORMATS;
use crate::{Options, learn};

fn seen(values: &[Value]) -> Seen {
    let mut seen = Seen::default();
    for value in values {
        let secrets = mask::places(&value.to_string()).into_iter().collect();
        seen.add(value, &secrets);
    }
    seen
}

#[track_caller]
fn check(values: &[Value], expected: Value) {
    assert_eq!(seen(values).rung(), expected, "{values:?}");
}

fn each<T: Into<Value>>(values: impl IntoIterator<Item = T>) -> Vec<Value> {
    values.into_iter().map(Into::into).collect()
}

#[test]
fn up_the_ladder() {
    check(&[json!("a"), json!("a")], json!({ "rung": "const", "values": ["a"] }));
    check(&[json!("b"), json!("a")], json!({ "rung": "one_of", "values": ["a", "b"] }));
    check(&[json!(null), json!(true)], json!({ "rung": "one_of", "values": [null, true] }));
    check(&each(1..=8), json!({ "rung": "one_of", "values": [1, 2, 3, 4, 5, 6, 7, 8] }));
    check(&each(1..=9), json!({ "rung": "range", "min": 1, "max": 9, "whole": true }));
    let halves = (0..9).map(|n| f64::from(n) / 2.0);
    check(&each(halves), json!({ "rung": "range", "min": 0.0, "max": 4.0, "whole": false }));
    let large = (0..9).map(|n| 9_007_199_254_740_993_i64 + n);
    check(
        &each(large),
        json!({ "rung": "range", "min": 9_007_199_254_740_993_i64, "max": 9_007_199_254_741_001_i64, "whole": true }),
    );
    let files = (0..9).map(|n| format!("/srv/{n}"));
    check(&each(files), json!({ "rung": "prefix", "format": "path", "prefix": ["", "srv"] }));
    let hosts = (0..9).map(|n| format!("https://h{n}.example.com/x"));
    check(
        &each(hosts),
        json!({ "rung": "host_suffix", "scheme": "https:", "host": ["example", "com"] }),
    );
    check(
        &each((0..9).map(|n| format!("a_{n}"))),
        json!({ "rung": "format", "format": "identifier" }),
    );
    check(
        &each((0..9).map(|n| format!("so {n}!"))),
        json!({ "rung": "type", "types": ["string"] }),
    );
    let mixed = [each(1..=9), each(["x"])].concat();
    check(&mixed, json!({ "rung": "type", "types": ["number", "string"] }));
}

#[test]
fn members_and_items() {
    let values = [json!({ "a": 1, "b": [1, 2] }), json!({ "a": 1 })];
    check(
        &values,
        json!({ "rung": "type", "types": ["object"], "members": {
            "a": { "rung": "const", "values": [1], "required": true },
            "b": { "rung": "type", "types": ["array"], "items": { "rung": "one_of", "values": [1, 2] } },
        } }),
    );
    check(&[json!({})], json!({ "rung": "type", "types": ["object"], "members": {} }));
    check(&[json!([])], json!({ "rung": "type", "types": ["array"] }));
    check(&[json!({}), json!([])], json!({ "rung": "any" }));
    check(
        &[json!([[[[1]]]])],
        json!({ "rung": "type", "types": ["array"], "items":
        { "rung": "type", "types": ["array"], "items":
            { "rung": "type", "types": ["array"], "items":
                { "rung": "type", "types": ["array"], "items": { "rung": "const", "values": [1] } } } } }),
    );
    let deep = seen(&[json!([[[[[1]]]]])]).rung();
    assert_eq!(deep.pointer("/items/items/items/items"), Some(&json!({ "rung": "any" })));
    let many: Map<String, Value> = (0..65).map(|n| (format!("n{n}"), json!(1))).collect();
    check(&[Value::Object(many)], json!({ "rung": "any" }));
}

#[test]
fn secrets_are_not_kept() {
    let value = json!({ "api_key": "hunter2", "token": { "x": "hunter2" },
        "at": "https://u:hunter2@example.com/", "list": [{ "password": 7 }] });
    let rung = seen(std::slice::from_ref(&value)).rung();
    assert!(!rung.to_string().contains("hunter2") && !rung.to_string().contains('7'), "{rung}");
    let any = json!({ "rung": "any", "required": true });
    for place in ["/api_key", "/token", "/at", "/list/items/password"] {
        let place = place.replacen('/', "/members/", 1).replace("items/", "items/members/");
        assert_eq!(rung.pointer(&place), Some(&any), "{place}");
    }
    let long = "x".repeat(LISTED_BYTES + 1);
    check(&[json!(long)], json!({ "rung": "format", "format": "identifier" }));
}

/// Values of one place.
fn values() -> impl Strategy<Value = Vec<Value>> {
    let text = prop_oneof![
        "/(srv|tmp)/[a-c]{1,2}(/[a-z.]{1,3}){0,2}",
        "https://[a-c]\\.(example|test)\\.com(:80)?(/[a-b]{0,2}){0,2}(\\?q=[a-z]{0,2})?",
        "[a-z_]{1,4}",
        "[0-9a-f]{8,9}",
        "[0-9]{4}-[01][0-9]-[0-3][0-9]",
        ".{0,6}",
    ];
    let scalar = prop_oneof![
        6 => text.clone().prop_map(Value::from),
        2 => any::<i64>().prop_map(Value::from),
        2 => (-1e6..1e6).prop_map(|number: f64| Value::from(number)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let nested = scalar.clone().prop_recursive(6, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-c~/*]{1,2}", inner, 0..3)
                .prop_map(|members| members.into_iter().collect()),
        ]
    });
    let texts = prop_oneof![
        proptest::collection::vec("/srv/[a-z]{1,4}(/[a-z]{1,3})?".prop_map(Value::from), 9..14),
        proptest::collection::vec(
            "https://[a-z]{1,3}\\.example\\.com(/[a-z]{1,3})?".prop_map(Value::from),
            9..14
        ),
        proptest::collection::vec("[a-z_]{1,6}".prop_map(Value::from), 9..14),
        proptest::collection::vec(any::<i64>().prop_map(Value::from), 9..14),
        proptest::collection::vec((-9.0..9.0).prop_map(|it: f64| Value::from(it)), 9..14),
    ];
    prop_oneof![
        2 => texts,
        1 => proptest::collection::vec(text.prop_map(Value::from), 1..14),
        1 => proptest::collection::vec(nested, 1..6),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, ..ProptestConfig::default() })]

    /// `learn` refuses what denies a message that it was learned from.
    #[test]
    fn all_that_was_seen_is_on_its_rung(places in proptest::collection::vec(values(), 60)) {
        let mut events = Vec::new();
        for (place, values) in places.iter().enumerate() {
            for value in values {
                let number = u32::try_from(events.len()).unwrap();
                events.push(call(number, "s", &format!("t{place}"), json!({ "v": value })));
            }
        }
        let count = events.len() as u64;
        let log = Log::of(events);
        let report = learn(&log.path, Options::default()).unwrap().report;
        prop_assert_eq!((report.training.messages, report.training.newly_denied), (count, 0));
        prop_assert_eq!(report.training.undecidable, 0);
    }
}

proptest! {
    /// No rung below holds them all.
    #[test]
    fn the_rung_is_the_lowest(values in values()) {
        let rung = seen(&values).rung();
        let mut distinct = values.clone();
        distinct.sort_by_key(Value::to_string);
        distinct.dedup();
        let scalar = values.iter().all(|value| !value.is_array() && !value.is_object());
        prop_assume!(scalar && !values.iter().any(|it| is_secret(it, &BTreeSet::new(), "")));
        let name = rung["rung"].as_str().unwrap();
        let listed = ["const", "one_of"].contains(&name);
        prop_assert_eq!(listed, distinct.len() <= ONE_OF, "{:?}", &rung);
        prop_assert_eq!(name == "const", distinct.len() == 1);
        let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
        let numbers = values.iter().all(Value::is_number);
        prop_assert!(name != "any");
        if listed {
            return Ok(());
        }
        prop_assert_eq!(name == "range", numbers);
        if numbers {
            prop_assert!(values.contains(&rung["min"]) && values.contains(&rung["max"]));
        }
        let Some(texts) = texts else { return Ok(()) };
        let fits = |(_, pattern): &&(&str, &str)| {
            let regex = regex::Regex::new(pattern).unwrap();
            texts.iter().all(|text| regex.is_match(text))
        };
        let format = FORMATS.iter().find(fits).map(|(name, _)| *name);
        match name {
            "format" => prop_assert_eq!(rung["format"].as_str(), format),
            "type" => prop_assert_eq!(format, None),
            "prefix" => {
                let prefix: Vec<&str> =
                    rung["prefix"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                let longer = |text: &&str| text.split('/').nth(prefix.len()).map(str::to_owned);
                let next: BTreeSet<_> = texts.iter().map(longer).collect();
                let ends = texts.iter().any(|text| text.contains('?'));
                prop_assert!(next.len() > 1 || ends, "{:?} could be longer", prefix);
            }
            _ => prop_assert_eq!(name, "host_suffix"),
        }
    }
}
