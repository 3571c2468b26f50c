use super::*;

#[test]
fn a_tree_is_the_process_and_all_below_it() {
    let parents = [(1, 0), (10, 1), (11, 10), (12, 11), (20, 1), (13, 10)];
    assert_eq!(tree(10, &parents), [10, 11, 13, 12]);
    assert_eq!(tree(20, &parents), [20]);
}

#[test]
fn time_grows_with_work_and_an_absent_process_is_an_error() {
    let own = i32::try_from(std::process::id()).unwrap();
    let before = used(own).unwrap();
    while used(own).unwrap() - before < Duration::from_millis(1) {}
    // One more than the kernel's largest process id.
    assert!(used((1 << 22) + 1).is_err());
}
