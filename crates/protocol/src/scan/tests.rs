use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn scan_within(text: &str, max_depth: usize) -> Result<(), Fault> {
    let mut scan = Scanner::new(text, max_depth);
    scan.white();
    let read = scan.value().and_then(|_| scan.end());
    scan.finish(read)
}

fn scan(text: &str) -> Result<(), Fault> {
    scan_within(text, 128)
}

#[track_caller]
fn check_good(text: &str) {
    assert!(scan(text).is_ok(), "{text}: {:?}", scan(text));
    // Members visited one by one are held to the same grammar as values that are skipped.
    let wrapped = format!(r#"{{"a":{text},"b":[{text}]}}"#);
    assert!(scan(&wrapped).is_ok(), "{wrapped}: {:?}", scan(&wrapped));
}

#[track_caller]
fn check_bad(text: &str, want: &str, offset: usize) {
    let fault = scan(text).unwrap_err();
    assert_eq!((&*fault.what, fault.offset), (want, Some(offset)), "{text}");
    assert_eq!(fault.kind, ParseErrorKind::Syntax);
}

#[test]
fn numbers_have_the_one_grammar() {
    for good in [
        "0",
        "-0",
        "7",
        "-7",
        "10",
        "9007199254740993",
        "123456789012345678901234567890",
        "0.0",
        "-0.5",
        "1e5",
        "1E+5",
        "1e-05",
        "0e0",
        "1.25e400",
        "1e99999",
    ] {
        check_good(good);
    }
    check_bad("01", "number with a leading zero", 1);
    check_bad("-01", "number with a leading zero", 2);
    check_bad("1.", "the text ends where a digit should be", 2);
    check_bad("1.e5", "found `e` where a digit should be", 2);
    check_bad("1e", "the text ends where a digit should be", 2);
    check_bad("1e+ 2", "found ` ` where a digit should be", 3);
    check_bad("-", "the text ends where a digit should be", 1);
    check_bad("-a", "found `a` where a digit should be", 1);
    for bad in [".5", "+1", "Infinity", "NaN", "\u{ff11}"] {
        let first = bad.chars().next().unwrap();
        check_bad(bad, &format!("found `{first}` where a value should be"), 0);
    }
    for (bad, offset) in
        [("0x1", 1), ("1_000", 1), ("1.5f", 3), ("2@", 1), ("1e1.5", 3), ("1 2", 2)]
    {
        check_bad(bad, "text after the end of the value", offset);
    }
}

#[test]
fn literals_are_lower_case_and_whole() {
    for good in ["true", "false", "null", " null ", "\t\r\n true"] {
        check_good(good);
    }
    for bad in ["nul", "tru", "fals", "tRue", "nan"] {
        let first = bad.chars().next().unwrap();
        check_bad(bad, &format!("found `{first}` where a value should be"), 0);
    }
    for bad in ["True", "NULL", "undefined"] {
        let first = bad.chars().next().unwrap();
        check_bad(bad, &format!("found `{first}` where a value should be"), 0);
    }
    check_bad("truex", "text after the end of the value", 4);
}

#[test]
fn strings_have_eight_escapes_and_no_controls() {
    for good in [
        r#""""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u0000\u001F\u00e9\uFFFF""#,
        r#""\uD83D\uDE00""#,
        r#""\uDBFF\uDFFF""#,
        r#""\\u12""#,
        "\"\u{7f}\u{2028}\u{10ffff}\u{feff}\"",
        r#""seven b""#,
        r#""eight by""#,
        r#""nine byte""#,
        r#""sixteen bytes lo""#,
    ] {
        check_good(good);
    }
    for (bad, offset) in [(r#"""#, 1), (r#""abc"#, 4), (r#""eight by"#, 9), (r#""\""#, 3)] {
        check_bad(bad, "string without its closing quote", offset);
    }
    for bad in [r#""\a""#, r#""\x00""#, r#""\'""#, r#""\U0041""#, "\"\\\n\"", "\"\\é\"", r#""\"#] {
        check_bad(bad, "unknown escape in a string", 1);
    }
    for bad in [r#""\u""#, r#""\u00""#, r#""\u00g0""#, r#""\u+041""#, r#""\u 041""#, r#""\u00"#] {
        check_bad(bad, "`\\u` without four hexadecimal digits", 1);
    }
    for control in ["\0", "\n", "\r", "\t", "\u{1f}"] {
        check_bad(&format!("\"{control}\""), "control character in a string", 1);
        check_bad(&format!("\"0123456789{control}01234567\""), "control character in a string", 11);
    }
}

#[test]
fn surrogates_come_in_pairs() {
    for bad in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\ud800""#,
        r#""\ud800 \udc00""#,
        r#""\ud800\n""#,
        r#""\ud800\u0041""#,
        r#""\udc00\ud800""#,
        r#""\ud800\udc0""#,
        r#""\ud800"#,
        r#""\ud800\""#,
    ] {
        check_bad(bad, "lone surrogate escape in a string", 1);
    }
}

#[test]
fn structure_is_exact() {
    for good in [
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[[]]",
        "[{}]",
        r#"{"":0}"#,
        "[1,\n2 , 3]",
        r#"{"a" : [ ] , "b":{}}"#,
        "[[],[[]],{}]",
        r#"{"a":{"b":{"c":[{"d":1}]}}}"#,
    ] {
        check_good(good);
    }
    check_bad("", "the text ends where a value should be", 0);
    check_bad(" ", "the text ends where a value should be", 1);
    check_bad("\u{feff}{}", "found `\\u{feff}` where a value should be", 0);
    check_bad("\u{a0}{}", "found `\\u{a0}` where a value should be", 0);
    check_bad("[1,]", "found `]` where a value should be", 3);
    check_bad("[,1]", "found `,` where a value should be", 1);
    check_bad("[1,,2]", "found `,` where a value should be", 3);
    check_bad("[1 2]", "found `2` where `,` or `]` should be", 3);
    check_bad("[1", "the text ends where `,` or `]` should be", 2);
    check_bad("[1}", "found `}` where `,` or `]` should be", 2);
    check_bad("[", "the text ends where a value should be", 1);
    check_bad("]", "found `]` where a value should be", 0);
    check_bad("[]]", "text after the end of the value", 2);
    check_bad("{]", "found `]` where a key in double quotes should be", 1);
    check_bad("{a:1}", "found `a` where a key in double quotes should be", 1);
    check_bad("{'a':1}", "found `'` where a key in double quotes should be", 1);
    check_bad("{1:1}", "found `1` where a key in double quotes should be", 1);
    check_bad(r#"{"a"}"#, "found `}` where `:` should be", 4);
    check_bad(r#"{"a",1}"#, "found `,` where `:` should be", 4);
    check_bad(r#"{"a"::1}"#, "found `:` where a value should be", 5);
    check_bad(r#"{"a":}"#, "found `}` where a value should be", 5);
    check_bad(r#"{"a":1,}"#, "found `}` where a key in double quotes should be", 7);
    check_bad(r#"{"a":1 "b":2}"#, "found `\"` where `,` or `}` should be", 7);
    check_bad(r#"{"a":1]"#, "found `]` where `,` or `}` should be", 6);
    check_bad(r#"{"a":1"#, "the text ends where `,` or `}` should be", 6);
    check_bad(r#"{"a":1}/**/"#, "text after the end of the value", 7);
    check_bad("[1]//", "text after the end of the value", 3);
    check_bad("[1\u{c}]", "found `\\u{c}` where `,` or `]` should be", 2);
}

#[test]
fn depth_is_bounded_whatever_the_containers() {
    #[track_caller]
    fn check(open: &str, close: &str, each: usize) {
        let nested = |times| format!("{}1{}", open.repeat(times), close.repeat(times));
        assert!(scan_within(&nested(4), 4 * each).is_ok());
        let fault = scan_within(&nested(4), 4 * each - 1).unwrap_err();
        assert_eq!(fault.what, format!("nested deeper than {}", 4 * each - 1));
        assert_eq!(fault.kind, ParseErrorKind::Syntax);
        let fault = scan(&open.repeat(100_000)).unwrap_err();
        assert_eq!(fault.what, "nested deeper than 128");
    }
    check("[", "]", 1);
    check(r#"{"":"#, "}", 1);
    check(r#"[{"a":"#, "}]", 2);
    // Siblings do not add up.
    assert!(scan_within("[[[]],[[]],{\"a\":[]}]", 3).is_ok());
}

#[test]
fn no_nesting_overflows_the_stack_even_without_a_limit() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert!(scan_within(&deep, usize::MAX).is_ok());
}

#[test]
fn duplicate_keys_are_refused_by_meaning() {
    #[track_caller]
    fn check(text: &str, want: Option<(&str, usize)>) {
        let fault = scan(text).err();
        let found = fault.as_ref().map(|fault| (&*fault.what, fault.offset.unwrap()));
        assert_eq!(found, want, "{text}");
        assert!(fault.is_none_or(|fault| fault.kind == ParseErrorKind::InvalidRequest));
    }
    check(r#"{"a":1,"a":1}"#, Some(("duplicate key `a`", 7)));
    check(r#"{"a":1,"b":1,"a":1,"b":2}"#, Some(("duplicate key `a`", 13)));
    check(r#"{"a":1,"\u0061":1}"#, Some(("duplicate key `\\u0061`", 7)));
    check(r#"{"\/":1,"/":1}"#, Some(("duplicate key `/`", 8)));
    check(r#"{"😀":1,"\ud83d\ude00":1}"#, Some(("duplicate key `\\ud83d\\ude00`", 10)));
    check(r#"{"":1,"":1}"#, Some(("duplicate key ``", 6)));
    check(r#"[{"x":{"a":1,"a":1}}]"#, Some(("duplicate key `a`", 13)));
    check(r#"{"x":[{"a":1,"b":[],"b":{}}]}"#, Some(("duplicate key `b`", 20)));
    check(r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#, None);
    check(r#"{"a":1,"A":1,"ab":1,"a ":1,"\\u0061":1}"#, None);
    check(r#"[{"a":1},{"a":1}]"#, None);
    // The first fault in the text is reported.
    check(r#"{"x":{"a":1,"a":2},"y":1,"y":2}"#, Some(("duplicate key `a`", 12)));
}

#[test]
fn duplicates_are_found_in_objects_of_every_size() {
    for size in [2, 31, 32, 33, 64, 100_000] {
        let object = |last: &str| {
            let members = (1..size).map(|n| format!(r#""key{n}":0,"#)).collect::<String>();
            format!("{{{members}{last}:0}}")
        };
        assert!(scan(&object(r#""key""#)).is_ok(), "{size}");
        assert!(scan(&object(r#""\u006beyx""#)).is_ok(), "{size}");
        assert!(scan(&object(r#""key1""#)).is_err(), "{size}");
        assert!(scan(&object(r#""\u006bey1""#)).is_err(), "{size}");
        assert!(scan(&object(&format!(r#""key{}""#, size - 1))).is_err(), "{size}");
    }
}

#[test]
fn keys_that_differ_in_the_middle_or_in_length_only_are_not_equal() {
    let long = "x".repeat(1 << 16);
    for text in [
        r#"{"aXa":1,"aYa":1}"#.to_owned(),
        r#"{"a":1,"aa":1,"aaa":1}"#.to_owned(),
        format!(r#"{{"{long}x":1,"x":1}}"#),
        format!(r#"{{"{long}ax":1,"{long}bx":1}}"#),
    ] {
        assert!(scan(&text).is_ok());
    }
    assert!(scan(&format!(r#"{{"{long}":1,"{long}":1}}"#)).is_err());
}

#[test]
fn the_work_on_keys_is_linear() {
    #[track_caller]
    fn check(text: &str, keys: usize, looks_each: usize) {
        keys::LOOKS.set(0);
        assert!(scan(text).is_ok());
        let looks = keys::LOOKS.get();
        assert!(looks <= keys * looks_each, "{looks} looks at {keys} keys");
    }
    // Same length, first and last byte, so that nothing but the text tells the keys apart.
    let members = |count: usize, key: &str| {
        let members = (0..count).map(|n| format!(r#""{key}{n:06}x":0"#));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    };
    check(&members(100_000, "k"), 100_000, 1);
    check(&members(100_000, r"\u006b"), 100_000, 1);
    let small = vec![members(32, "k"); 1_000].join(",");
    check(&format!("[{small}]"), 32_000, 32);
    let nested = format!("{}0{}", r#"{"a":0,"b":"#.repeat(50_000), "}".repeat(50_000));
    keys::LOOKS.set(0);
    assert!(scan_within(&nested, usize::MAX).is_ok());
    assert_eq!(keys::LOOKS.get(), 0, "keys of other objects are not compared");
}

/// A value that knows whether one of its objects has a key twice.
#[derive(Clone, Debug)]
struct Sample {
    text: String,
    duplicate: bool,
}

fn samples() -> impl Strategy<Value = Sample> {
    let leaf = prop::sample::select(vec![
        "0",
        "-1.5e3",
        "12345678901234567890",
        "true",
        "null",
        r#""""#,
        r#""a\n\u00e9""#,
        r#""longer than eight""#,
        r#""\ud83d\ude00""#,
        r#""é 😀""#,
        "[]",
        "{}",
        " 1 ",
        "\t\"x\"\n",
    ]);
    let leaf = leaf.prop_map(|text| Sample { text: text.to_owned(), duplicate: false });
    leaf.prop_recursive(5, 40, 5, |inner| {
        let keys = prop::sample::select(vec![
            ("a", "a"),
            ("b", "b"),
            (r"\u0061", "a"),
            ("é", "é"),
            (r"\u00e9", "é"),
            ("", ""),
            (r"\/", "/"),
            ("/", "/"),
        ]);
        let array = prop::collection::vec(inner.clone(), 1..5).prop_map(|items| Sample {
            duplicate: items.iter().any(|item| item.duplicate),
            text: format!(
                "[{}]",
                items.iter().map(|i| i.text.as_str()).collect::<Vec<_>>().join(",")
            ),
        });
        let object = prop::collection::vec((keys, inner), 1..5).prop_map(|members| {
            let twice = |index: usize| {
                members.iter().take(index).any(|((_, key), _)| *key == members[index].0.1)
            };
            let duplicate =
                members.iter().any(|(_, value)| value.duplicate) || (0..members.len()).any(twice);
            let members = members.iter().map(|((key, _), v)| format!(r#""{key}" :{}"#, v.text));
            Sample { text: format!("{{{}}}", members.collect::<Vec<_>>().join(" , ")), duplicate }
        });
        prop_oneof![array, object]
    })
}

/// Whether an independent parser takes it for JSON; `None` when it refuses for a reason of its own.
fn reference(text: &str) -> Option<bool> {
    match serde_json::from_str::<Value>(text) {
        Ok(_) => Some(true),
        Err(error) if error.to_string().contains("number out of range") => None,
        Err(_) => Some(false),
    }
}

proptest! {
    #[test]
    fn good_values_are_accepted_unless_a_key_is_there_twice(sample in samples()) {
        prop_assert_eq!(reference(&sample.text), Some(true));
        match scan(&sample.text) {
            Ok(()) => prop_assert!(!sample.duplicate),
            Err(fault) => {
                prop_assert!(sample.duplicate);
                prop_assert_eq!(fault.kind, ParseErrorKind::InvalidRequest);
            }
        }
    }

    #[test]
    fn broken_values_are_judged_as_by_an_independent_parser(
        sample in samples(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, prop::sample::select(
            r#"{}[]",:\/u0159eE+-.tfalsn d8c
"#.chars().collect::<Vec<_>>())), 1..4),
    ) {
        let mut text = sample.text.chars().collect::<Vec<_>>();
        for (place, edit, character) in edits {
            let at = place.index(text.len() + 1);
            match edit {
                0 => text.insert(at, character),
                1 if at < text.len() => text[at] = character,
                _ if at < text.len() => drop(text.remove(at)),
                _ => {}
            }
        }
        let text = text.into_iter().collect::<String>();
        if let Some(good) = reference(&text) {
            let syntax = matches!(scan(&text), Err(Fault { kind: ParseErrorKind::Syntax, .. }));
            prop_assert_eq!(syntax, !good, "{}", text);
        }
    }

    #[test]
    fn strings_are_scanned_as_an_independent_parser_does(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "a", "12345678", "é", "😀", "\\n", "\\\\", "\\u0041", "\\ud83d", "\\ude00", "\\u00", "\"", "\\", "\u{1}",
        ]), 0..8),
    ) {
        let text = format!("\"{}\"", pieces.concat());
        prop_assert_eq!(Some(scan(&text).is_ok()), reference(&text), "{}", text);
        if let Ok(value) = serde_json::from_str::<String>(&text) {
            prop_assert_eq!(text::decode(&text), value);
        }
    }

    #[test]
    fn special_bytes_are_found_at_their_exact_place(
        before in prop::collection::vec(any::<u8>().prop_filter("plain", |byte| {
            !matches!(byte, 0..0x20 | b'"' | b'\\')
        }), 0..8),
        special in prop_oneof![0..0x20_u8, Just(b'"'), Just(b'\\')],
        after in any::<[u8; 8]>(),
    ) {
        let bytes = [before.as_slice(), &[special], &after].concat();
        let word = u64::from_le_bytes(*bytes.first_chunk().unwrap());
        let marks = specials(word);
        let found = if marks == 0 { 8 } else { (marks.trailing_zeros() / 8) as usize };
        prop_assert_eq!(found, before.len());
    }
}
