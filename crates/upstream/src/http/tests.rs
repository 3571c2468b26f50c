use super::*;

#[track_caller]
fn check(value: Option<&'static str>, expected: Media) {
    let mut headers = HeaderMap::new();
    if let Some(value) = value {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
    }
    assert_eq!(Media::of(&headers), expected, "{value:?}");
}

#[test]
fn content_types_are_compared_without_case_and_parameters() {
    check(Some("application/json"), Media::Json);
    check(Some("Application/JSON"), Media::Json);
    check(Some("application/json ;x"), Media::Json);
    check(Some("application/json; charset=utf-8"), Media::Json);
    check(Some("Text/Event-Stream;charset=utf-8"), Media::Events);
    check(Some("text/html"), Media::Other);
    check(Some("application/jsonp"), Media::Other);
    check(None, Media::Other);
}
