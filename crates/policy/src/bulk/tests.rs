use super::*;

#[test]
fn every_part_of_a_value_counts() {
    #[track_caller]
    fn check(json: &str, weight: usize) {
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(weigh(&value, weight), Ok(()), "{json}");
        assert!(weigh(&value, weight - 1).is_err(), "{json}");
    }
    check("null", 8);
    check("12345678901234567890", 8);
    check(r#""abc""#, 11);
    check(r#"[1, "abc", []]"#, 8 + 8 + 11 + 8);
    check(r#"{"key": "value"}"#, 8 + 11 + 13);
}

#[test]
fn what_is_far_too_long_is_refused_before_it_is_read() {
    let limit = 1000;
    assert_eq!(bound(4000, limit), Ok(()));
    assert!(bound(4004, limit).unwrap_err().contains("more than 1000 bytes"));
}
