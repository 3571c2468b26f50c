use super::{Step, locate};

/// Finds a place by a path such as `a.b[1]`, and expects line and column, or nothing.
#[track_caller]
fn check(text: &str, path: &str, expected: Option<(usize, usize)>) {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (key, items) = part.split_once('[').unwrap_or((part, ""));
        steps.push(Step::Key(key.to_owned()));
        let items = items.split(['[', ']']).filter(|it| !it.is_empty());
        steps.extend(items.map(|it| Step::Item(it.parse().unwrap())));
    }
    assert_eq!(locate(text, &steps), expected, "{path}");
}

#[test]
fn keys_and_items_are_found() {
    let text = "# head\na:\n  b: 1\n  c:\n    - x\n    - y\nd: {e: [1, 2]}\n";
    check(text, "a", Some((2, 1)));
    check(text, "a.b", Some((3, 3)));
    check(text, "a.c", Some((4, 3)));
    check(text, "a.c[1]", Some((6, 7)));
    check(text, "d.e", Some((7, 5)));
    check(text, "d.e[1]", Some((7, 12)));
}

#[test]
fn what_is_not_there_is_not_found() {
    let text = "a:\n  b: 1\n";
    check(text, "z", None);
    check(text, "a.z", None);
    check("", "a", None);
}

#[test]
fn other_keys_do_not_disturb() {
    check("1: x\n-1: x\n1.5: x\ntrue: y\n~: z\nk: 2\n", "k", Some((6, 1)));
    check("\"quoted key\": 1\nk: 2\n", "k", Some((2, 1)));
}
