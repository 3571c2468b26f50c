use std::collections::HashSet;

use super::RequestId;

fn id(raw: &str) -> RequestId {
    RequestId::from_token(raw)
}

#[track_caller]
fn check(left: &str, right: &str, equal: bool) {
    assert_eq!(id(left) == id(right), equal, "{left} == {right}");
    let set = HashSet::from([id(left)]);
    assert_eq!(set.contains(&id(right)), equal, "hash of {left} and {right}");
}

#[test]
fn equality_is_of_the_meaning_and_the_kind() {
    check("1", "1", true);
    check("1", "2", false);
    check("1", r#""1""#, false);
    check(r#""1""#, r#""1""#, true);
    check(r#""a""#, r#""\u0061""#, true);
    check(r#""a""#, r#""A""#, false);
    check(r#""/""#, r#""\/""#, true);
    check(r#""😀""#, r#""\ud83d\ude00""#, true);
    check("9007199254740993", "9007199254740992", false);
    check(r#""""#, "0", false);
}

#[test]
fn the_token_is_kept_as_written() {
    assert_eq!(id(r#""\u0061""#).as_raw(), r#""\u0061""#);
    assert_eq!(id("18446744073709551615").as_raw(), "18446744073709551615");
}
