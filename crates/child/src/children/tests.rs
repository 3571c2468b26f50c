use super::*;

#[test]
fn marks_differ_and_outer_ones_stay() {
    let (one, other) = (Mark::new(), Mark::new());
    assert_ne!(one, other);
    assert_eq!(one.beside(None), one.0);
    assert_eq!(one.beside(Some(&other.0)), format!("{},{}", other.0, one.0));
}

#[test]
fn only_carriers_of_the_mark_are_found() {
    let mark = Mark::new();
    let start = |value: String| {
        let mut command = std::process::Command::new("sleep");
        command.arg("1000").env(VARIABLE, value).spawn().unwrap()
    };
    let mut marked = start(mark.beside(Some("outer")));
    let mut other = start(Mark::new().0);
    let number = i32::try_from(marked.id()).unwrap();
    assert_eq!(carriers(&[Mark::new(), mark.clone()]).collect::<Vec<_>>(), [Pid::from_raw(number)]);
    kill_all(&[mark]);
    assert!(!marked.wait().unwrap().success());
    assert!(other.try_wait().unwrap().is_none(), "it lives");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn children_are_counted_while_they_are_held() {
    let children = Children::default();
    let held = [children.count_in(), children.count_in()];
    assert_eq!(children.count(), 2);
    drop(held);
    assert_eq!(children.count(), 0);
}
