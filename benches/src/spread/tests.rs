use super::*;

#[test]
fn percentiles_are_nearest_ranks() {
    #[track_caller]
    fn check(sorted: &[u32], percent: usize, want: u32) {
        assert_eq!(percentile(sorted, percent), want);
    }
    check(&[], 50, 0);
    check(&[7], 50, 7);
    check(&[7], 99, 7);
    check(&[1, 2, 3, 4], 50, 2);
    check(&[1, 2, 3, 4, 5], 50, 3);
    check(&(1..=200).collect::<Vec<_>>(), 99, 198);
}

#[test]
fn a_spread_is_the_median_and_the_ends() {
    let spread = Spread::of(vec![3.0, 1.0, 2.0]);
    assert_eq!(spread, Spread { median: 2.0, min: 1.0, max: 3.0 });
}
