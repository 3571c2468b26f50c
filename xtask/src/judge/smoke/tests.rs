use super::lost;

#[test]
fn scored_scenarios_that_are_marked_are_lost() {
    let said = "\
ping                     pass 2/2     pass 2/2
tools-list               pass 4/4     FAIL 0/2   <-- lost through the proxy
server-sse-polling *     pass 3/3     pass 2/2   <-- lost through the proxy
";
    assert_eq!(lost(said).into_iter().collect::<Vec<_>>(), ["tools-list"]);
    assert!(lost("").is_empty());
}
