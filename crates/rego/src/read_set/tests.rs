use super::*;

fn set(paths: &[&str]) -> ReadSet {
    paths.iter().copied().collect()
}

#[track_caller]
fn check(paths: &[&str], expected: &[&str]) {
    assert_eq!(set(paths).paths(), expected, "{paths:?}");
}

#[test]
fn no_path_stands_above_another() {
    check(&["tool", "method", "tool"], &["input.method", "input.tool"]);
    check(&["arguments.path", "arguments", "arguments.mode"], &["input.arguments"]);
    check(
        &["arguments.path", "request.arguments.path"],
        &["input.arguments.path", "input.request.arguments.path"],
    );
    check(&["agent.id", "agent"], &["input.agent"]);
    check(&["context.headers.x-team"], &["input.context.headers[\"x-team\"]"]);
    let mut whole = ReadSet::everything();
    whole.join(&set(&["tool", "arguments.path"]));
    assert_eq!(whole.paths(), ["input"]);
}

#[test]
fn below_a_closed_field_the_field_is_read_and_unknown_paths_read_nothing() {
    check(&["tool.name", "agent.capabilities.x"], &["input.agent.capabilities", "input.tool"]);
    check(&["usrname", "request.nothing", "agent.nothing"], &[]);
    assert!(set(&["usrname"]).is_empty());
}

#[test]
fn an_extent_is_what_is_read_of_a_field() {
    let read =
        set(&["arguments.path", "arguments.options.deep", "agent", "server.tool.annotations"]);
    let (path, deep) = (["path".to_owned()], ["options".to_owned(), "deep".to_owned()]);
    assert_eq!(read.extent(&["arguments"]), Extent::Below(vec![&deep, &path]));
    assert_eq!(read.extent(&["agent", "id"]), Extent::Whole);
    assert_eq!(read.extent(&["server", "tool", "annotations"]), Extent::Whole);
    assert_eq!(read.extent(&["server", "tool", "digest"]), Extent::Nothing);
    assert_eq!(ReadSet::everything().extent(&["result"]), Extent::Whole);
}

#[test]
fn sets_compare_by_what_they_cover() {
    let (exact, whole) = (set(&["arguments.path"]), set(&["arguments", "tool"]));
    assert!(exact.is_within(&whole) && !whole.is_within(&exact));
    assert!(whole.is_within(&ReadSet::everything()) && !ReadSet::everything().is_within(&whole));
    assert!(exact.intersects(&["arguments"]) && exact.intersects(&["arguments", "path", "deep"]));
    assert!(!exact.intersects(&["arguments", "mode"]) && exact.intersects::<&str>(&[]));
    assert!(exact.fields() == Fields::of(Field::Arguments));
}
