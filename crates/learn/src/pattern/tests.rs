use super::*;

#[track_caller]
fn check(format: &str, yes: &[&str], no: &[&str]) {
    assert_eq!(COMPILED.len(), FORMATS.len(), "a pattern does not compile");
    for text in yes {
        assert!(Form::of(text).is(format), "{text:?} is {format}");
    }
    for text in no {
        assert!(!Form::of(text).is(format), "{text:?} is not {format}");
    }
}

#[test]
fn formats() {
    check("uuid", &["123e4567-e89b-12d3-a456-426614174000"], &["123e4567", ""]);
    check("date", &["2026-11-20"], &["2026-11-20 ", "2026-11-20\n", "26-1-1"]);
    check(
        "date_time",
        &["2026-11-20T10:40:00Z", "2026-11-20T10:40:00.123+01:00"],
        &["2026-11-20T10:40:00", "2026-11-20"],
    );
    check("time", &["10:40", "10:40:00"], &["1040"]);
    check("digits", &["0", "123"], &["-1", "1.0", "", "١"]);
    check("hex", &["deadbeef", "0123456789"], &["abc", "deadbeeg"]);
    check(
        "email",
        &["a.b+c@example.co.uk"],
        &["a@b", "a b@example.com", "a@b@c.com", "a..b@c.com"],
    );
    check("identifier", &["read_file", "a-1"], &["1a", "a b", "a.b", "a/b", ""]);
}

#[test]
fn paths_have_one_reading() {
    check(
        "path",
        &[
            "/srv/files/a b.txt",
            "/",
            "",
            "a",
            "src/main.rs",
            "/srv/",
            "/srv/.hidden",
            "/ü/日本/a..b",
            "/a@2x.png",
        ],
        &[
            "/srv/../x",
            "..",
            "../x",
            "/srv/..",
            "/srv/./x",
            ".",
            "/srv//x",
            "//host/x",
            "/srv/...",
            "/srv/.. /x",
            "/a /b",
            "/a./b",
            "/srv/%2e%2e/x",
            "~/x",
            "$HOME/x",
            "/a`b`",
            "/a\\b",
            "C:/x",
            "/a\nb",
            "/a\u{0}",
            "/\u{ff0e}\u{ff0e}/x",
            "/a\u{200b}b",
            "a:b",
            "/a*",
            "/a?b",
            "https://a.com/x",
        ],
    );
}

#[test]
fn addresses_have_one_reading() {
    check(
        "url",
        &[
            "https://example.com",
            "https://example.com/",
            "https://a.example.com:8443/x/y.html?q=1&r=a/b#c",
            "file:///srv/files/a.txt",
            "db+x://h/x",
            "https://example.com/?x=1",
        ],
        &[
            "https://user@example.com/",
            "https://u:p@example.com",
            "https://example.com/../x",
            "https://example.com/a/..",
            "https://example.com/%2e%2e/x",
            "https://example.com\\@evil.com",
            "https://EXAMPLE.com/",
            "//example.com",
            "https://example.com /x",
            "https://example.com/a\nb",
            "javascript:x",
            "https://[::1]/",
            "https://.com/x",
            "https://example.com?x=1",
            "https://evil.com#.example.com",
            "https://example.com/a//b",
        ],
    );
}

fn joined(texts: &[&str]) -> Form {
    let mut forms = texts.iter().map(|text| Form::of(text));
    let mut form = forms.next().unwrap();
    forms.for_each(|other| form.join(&other));
    form
}

#[track_caller]
fn check_prefix(texts: &[&str], expected: Option<(&str, &str)>) {
    let form = joined(texts);
    let found = form.prefix().map(|prefix| (prefix.format, prefix.components.join("/")));
    let found = found.as_ref().map(|(format, prefix)| (*format, prefix.as_str()));
    assert_eq!(found, expected, "{texts:?}");
}

#[test]
fn prefixes_are_whole_components() {
    check_prefix(&["/srv/files/a", "/srv/files/b/c"], Some(("path", "/srv/files")));
    check_prefix(&["/srv/files", "/srv/files-secret"], Some(("path", "/srv")));
    check_prefix(&["/a", "/b"], None);
    check_prefix(&["/", "/a"], None);
    check_prefix(&["src/a", "src/b"], Some(("path", "src")));
    check_prefix(&["a", "b"], None);
    check_prefix(&["/srv/a", "srv/a"], None);
    check_prefix(&["/srv/a", "/srv/../a"], None);
    check_prefix(&["https://h.com/a/1", "https://h.com/a/2"], Some(("url", "https://h.com/a")));
    check_prefix(&["https://h.com/a?x=1", "https://h.com/a?x=2"], Some(("url", "https://h.com")));
    check_prefix(
        &["https://h.com/a/?x=1", "https://h.com/a/?x=2"],
        Some(("url", "https://h.com/a")),
    );
    check_prefix(&["https://h.com?x=1", "https://h.com?x=2"], None);
    check_prefix(&["https://h.com/a", "http://h.com/a"], None);
    check_prefix(&["https://a.com/x", "https://b.com/x"], None);
    check_prefix(&["file:///srv/a", "file:///srv/b"], Some(("url", "file:///srv")));
    check_prefix(&["file:///a", "file:///b"], None);
    check_prefix(&["/srv/a", "https://h.com/a"], None);
}

#[track_caller]
fn check_host(texts: &[&str], expected: Option<(&str, &str)>) {
    let form = joined(texts);
    let found = form.host_suffix().map(|host| (host.scheme, host.labels.join(".")));
    let found = found.as_ref().map(|(scheme, host)| (*scheme, host.as_str()));
    assert_eq!(found, expected, "{texts:?}");
}

#[test]
fn hosts_by_their_domain() {
    check_host(
        &["https://a.example.com/x", "https://b.c.example.com"],
        Some(("https:", "example.com")),
    );
    check_host(
        &["https://a.example.com:1/", "https://b.example.com:1/"],
        Some(("https:", "example.com:1")),
    );
    check_host(&["https://a.example.com:1/", "https://b.example.com:2/"], None);
    check_host(&["https://a.com/", "https://b.com/"], None);
    check_host(&["https://a.co.uk/", "https://b.co.uk/"], None);
    check_host(&["https://a.x.co.uk/", "https://b.x.co.uk/"], Some(("https:", "x.co.uk")));
    check_host(&["https://notexample.com/", "https://a.example.com/"], None);
    check_host(&["http://a.example.com/", "https://b.example.com/"], None);
    check_host(&["http://10.0.0.1/", "http://9.0.0.1/"], None);
    check_host(&["https://a.example.com?x", "https://b.example.com/"], None);
}
