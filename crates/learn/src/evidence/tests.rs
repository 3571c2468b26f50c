use super::*;

#[track_caller]
fn check(found: f64, of: f64, expected: f64) {
    let bound = wilson(found, of);
    assert!((bound - expected).abs() < 5e-5, "{found} of {of}: {bound}");
}

#[test]
fn the_lower_bound_of_a_share() {
    check(0.0, 0.0, 0.0);
    check(0.0, 10.0, 0.0);
    // n / (n + z²)
    check(10.0, 10.0, 0.72246);
    check(1.0, 1.0, 0.20654);
    check(5.0, 10.0, 0.23659);
    check(81.0, 263.0, 0.25527);
}
