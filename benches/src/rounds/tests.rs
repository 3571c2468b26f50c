use super::*;

fn round(cpu_us: f64) -> Report {
    Report {
        requests: 10,
        sent: 12,
        cpu_us_per_request: [("own".to_owned(), cpu_us)].into(),
        ..Report::default()
    }
}

#[test]
fn ratios_are_taken_within_a_round() {
    // The second round ran on a machine that was twice as slow: no ratio changes.
    let targets = vec![
        ("direct", vec![round(5.0), round(10.0)]),
        ("passthrough", vec![round(10.0), round(20.0)]),
        ("gateway", vec![round(20.0), round(40.0)]),
    ];
    let table = Table::new(targets, ["direct", "passthrough"]);
    let all = |value| Spread { median: value, min: value, max: value };
    let got: Vec<_> = table.lines.iter().map(|l| l.ratios).collect();
    assert_eq!(got, [[all(1.0), all(0.5)], [all(2.0), all(1.0)], [all(4.0), all(2.0)]]);
    assert_eq!(table.lines[2].cpu_us, Spread { median: 20.0, min: 20.0, max: 40.0 });
    assert_eq!((table.sent("gateway"), table.errors()), (24, 0));
}

#[test]
fn errors_are_counted_and_shown() {
    let wrong = Report { errors: 3, first_error: Some("wrong answer: x".to_owned()), ..round(1.0) };
    let targets = vec![("direct", vec![round(1.0)]), ("gateway", vec![round(1.0), wrong])];
    let table = Table::new(targets, ["direct", "direct"]);
    assert_eq!(table.errors(), 3);
    assert!(table.to_string().ends_with("gateway: wrong answer: x\n"), "{table}");
}
