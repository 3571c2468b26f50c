use super::Secret;

#[track_caller]
fn check(text: &str) {
    assert!(text.contains("***") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_secret_is_never_printed() {
    let secret = Secret::new("hunter2".to_owned());
    check(&format!("{secret:?}"));
    check(&format!("{:#?}", Some(&secret)));
    check(&serde_json::to_string(&secret).unwrap());
    check(&serde_json::to_value(&secret).unwrap().to_string());
    assert_eq!(secret.expose(), "hunter2");
}

#[test]
fn a_secret_is_read_like_its_value() {
    let secret: Secret<String> = serde_json::from_str(r#""hunter2""#).unwrap();
    assert_eq!(secret, Secret::new("hunter2".to_owned()));
}

#[test]
fn the_text_of_a_wrong_secret_is_not_in_the_error() {
    let error = serde_json::from_str::<Secret<String>>("[\"hunter2\"]").unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
