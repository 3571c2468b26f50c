use super::*;

#[test]
fn protocol_errors_are_counted_also_when_they_are_not_logged() {
    let clock: Arc<dyn Clock> = Arc::new(domain::SystemClock);
    let protocol_errors = ProtocolErrors::new(&clock);
    for _ in 0..100 {
        protocol_errors.note("odd");
    }
    assert_eq!(protocol_errors.count(), 100);
}
