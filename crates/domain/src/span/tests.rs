use super::Span;

#[track_caller]
fn check(text: &str, expected: Result<(u64, &str), &str>) {
    match (text.parse::<Span>(), expected) {
        (Ok(span), Ok((millis, shown))) => {
            assert_eq!(span, Span::millis(millis), "{text}");
            assert_eq!(span.to_string(), shown, "{text}");
        }
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
        (got, _) => panic!("{text}: {got:?}"),
    }
}

#[test]
fn spans_read_and_print_as_people_write_them() {
    check("100ms", Ok((100, "100ms")));
    check("30s", Ok((30_000, "30s")));
    check("90s", Ok((90_000, "1m30s")));
    check("1h30m", Ok((5_400_000, "1h30m")));
    check("24h", Ok((86_400_000, "1day")));
    check("0s", Ok((0, "0s")));
    check("30", Err("write for example"));
    check("-1s", Err("`-1s` is not a length of time"));
    check("", Err("is not a length of time"));
}
