use super::*;

#[track_caller]
fn check(parts: &[&str], want: &[(&str, &str)]) {
    let mut events = Events::default();
    let mut seen = Vec::new();
    for part in parts {
        events.pending.extend_from_slice(part.as_bytes());
        while let Some(event) = events.take() {
            seen.push((event.name, event.data));
        }
    }
    let want: Vec<_> = want.iter().map(|(n, d)| ((*n).to_owned(), (*d).to_owned())).collect();
    assert_eq!(seen, want, "{parts:?}");
}

#[test]
fn events_are_taken_whole() {
    check(&["data: a\n\n"], &[("message", "a")]);
    check(&["data: a\n\ndata:b\r\n\r\n"], &[("message", "a"), ("message", "b")]);
    check(&["event: endp", "oint\ndata: /m?s=1\n", "\n"], &[("endpoint", "/m?s=1")]);
    check(&["id: 7\ndata: a\ndata: b\n\n"], &[("message", "a\nb")]);
    check(&[": keep-alive\n\n", "event: x\n\n", "data: a\n\n"], &[("message", "a")]);
    check(&["data: unfinished\n"], &[]);
}
