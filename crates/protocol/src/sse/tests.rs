use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 16;

/// All that a decoder says about `chunks`: events, then the error if there is one.
fn decode<'a>(
    limit: usize,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Option<SseError>, Decoder) {
    let mut decoder = Decoder::new(limit);
    let (mut events, mut error) = (Vec::new(), None);
    for chunk in chunks {
        decoder.push(chunk);
        while let Some(next) = decoder.next() {
            match next {
                Ok(event) => events.push(event),
                Err(refused) => error = Some(refused),
            }
        }
    }
    (events, error, decoder)
}

fn message(data: &str) -> Event {
    Event { data: Bytes::copy_from_slice(data.as_bytes()), ..Event::default() }
}

#[track_caller]
fn check(stream: &str, want: &[Event]) {
    let (events, error, _) = decode(LIMIT, [stream.as_bytes()]);
    assert_eq!((events.as_slice(), error), (want, None), "{stream:?}");
    let (events, error, _) = decode(LIMIT, stream.as_bytes().chunks(1));
    assert_eq!((events.as_slice(), error), (want, None), "bytewise {stream:?}");
}

#[test]
fn lines_end_in_lf_cr_or_crlf() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = ["data: a", "data: b", "", "data: c", "", ""].join(end);
        check(&stream, &[message("a\nb"), message("c")]);
    }
    check("data: a\r\r\n\ndata: b\n\r\n", &[message("a"), message("b")]);
}

#[test]
fn a_cr_ends_the_event_without_waiting_for_a_lf() {
    let (events, _, _) = decode(LIMIT, [b"data: a\r\r".as_slice()]);
    assert_eq!(events, [message("a")]);
}

#[test]
fn fields_are_read_as_the_standard_says() {
    check("data:a\n\n", &[message("a")]);
    check("data:  a\n\n", &[message(" a")]);
    check("data: a:b\n\n", &[message("a:b")]);
    check("data\n\n", &[message("")]);
    check("data:\ndata\n\n", &[message("\n")]);
    check(": comment\n:\ndata: a\n: data: b\n\n", &[message("a")]);
    check("Data: a\n data: b\nfoo: c\n\n", &[]);
    check("\n\n\n", &[]);
    check("data: a\n", &[]);
    check("event: x\n\ndata: a\n\n", &[message("a")]);
    let named = |name: &str, data| Event { name: Some(name.to_owned()), ..message(data) };
    check("event: endpoint\ndata: /m\n\n", &[named("endpoint", "/m")]);
    check("event: x\nevent: y\ndata: a\n\n", &[named("y", "a")]);
    let with_id = |id: &str, data| Event { id: Some(id.to_owned()), ..message(data) };
    check("id: 7\ndata: a\n\ndata: b\n\n", &[with_id("7", "a"), message("b")]);
    check("id: a\0b\ndata: a\n\n", &[message("a")]);
    check("id\ndata: a\n\n", &[with_id("", "a")]);
    let retry = |retry, data| Event { retry, ..message(data) };
    check("retry: 1500\ndata: a\n\n", &[retry(Some(1500), "a")]);
    check("retry: 1e3\ndata: a\n\n", &[retry(None, "a")]);
    check("retry: -1\nretry:\ndata: a\n\n", &[retry(None, "a")]);
    check("retry: 99999999999999999999999\ndata: a\n\n", &[retry(None, "a")]);
}

#[test]
fn the_default_name_is_message() {
    assert_eq!(message("").name(), "message");
    assert_eq!(Event { name: Some(String::new()), ..message("") }.name(), "message");
    assert_eq!(Event { name: Some("endpoint".to_owned()), ..message("") }.name(), "endpoint");
}

#[test]
fn one_byte_order_mark_is_skipped_at_the_start_only() {
    check("\u{feff}data: a\n\n", &[message("a")]);
    check("\u{feff}\u{feff}data: a\n\n", &[]);
    check("data: a\n\n\u{feff}data: b\n\n", &[message("a")]);
}

#[test]
fn id_and_retry_count_without_data() {
    let (events, _, decoder) = decode(LIMIT, [b"id: 5\nretry: 300\n\ndata: a\n\n".as_slice()]);
    assert_eq!(events, [message("a")]);
    assert_eq!((decoder.last_event_id(), decoder.retry()), (Some("5"), Some(300)));
}

#[test]
fn an_event_over_the_limit_ends_the_stream() {
    #[track_caller]
    fn check(stream: &[u8], want_events: usize, fails: bool) {
        for size in [stream.len(), 1, 3] {
            let (events, error, mut decoder) = decode(20, stream.chunks(size));
            assert_eq!(events.len(), want_events, "chunks of {size}");
            assert_eq!(error, fails.then_some(SseError::TooLarge { limit: 20 }));
            if fails {
                decoder.push(b"data: late\n\n");
                assert_eq!(decoder.next(), None);
            }
        }
    }
    check(b"data: 01234567890123\n\n", 1, false);
    check(b"data: 012345678901234\n\n", 0, true);
    check(b"data: 0\n\ndata: 012345678901234\n\n", 1, true);
    check(b"data: 0123\ndata: 0123\n\n", 1, false);
    check(b"data: 0123\ndata: 01234\n\n", 0, true);
    check(b"data: 012345678901234", 0, true);
    check(b"id: 01234\nevent: 01234\n\n", 0, true);
    check(&b": 0123456789\n".repeat(9), 0, false);
    check(&b": 0123456789".repeat(9), 0, true);
    check(&b"data: 0123456789\n\n".repeat(9), 9, false);
}

#[test]
fn bytes_of_an_unfinished_line_are_searched_once() {
    let mut decoder = Decoder::new(LIMIT);
    for received in 1..5_000 {
        decoder.push(b"x");
        assert_eq!(decoder.next(), None);
        assert_eq!(decoder.searched, received);
    }
}

#[test]
fn what_is_encoded_is_one_event() {
    #[track_caller]
    fn check(data: &str, want: &str) {
        let (events, error, _) = decode(LIMIT, [&*encode_message(data.as_bytes())]);
        let name = Some("message".to_owned());
        assert_eq!((events, error), (vec![Event { name, ..message(want) }], None));
    }
    check("{}", "{}");
    check("", "");
    check(" {}", " {}");
    check("{\n}\r\n[\r]", "{\n}\n[\n]");
    check("a\n\ndata: b\nid: 1\n\n", "a\n\ndata: b\nid: 1\n\n");
    assert_eq!(&*encode_message(b"{}"), b"event: message\ndata: {}\n\n");
    assert_eq!(
        &*encode_event("endpoint", Some("a\r\nb\0"), b"/m"),
        b"event: endpoint\nid: ab\ndata: /m\n\n"
    );
    assert_eq!(&*encode_with_id("0-7", b"{}"), b"event: message\nid: 0-7\ndata: {}\n\n");
    let (events, error, _) = decode(LIMIT, [KEEP_ALIVE]);
    assert_eq!((events, error), (vec![], None));
}

#[test]
fn a_priming_event_has_an_id_and_no_data() {
    #[track_caller]
    fn check(encoded: &[u8], want: &[u8], retry: Option<u64>) {
        assert_eq!(encoded, want);
        let (events, error, _) = decode(LIMIT, [encoded]);
        let event = Event { id: Some("0-0".to_owned()), retry, ..Event::default() };
        assert_eq!((events, error), (vec![event], None));
    }
    check(&encode_priming("0-0", None), b"id: 0-0\ndata:\n\n", None);
    check(&encode_priming("0-\n0", Some(500)), b"id: 0-0\nretry: 500\ndata:\n\n", Some(500));
}

/// Streams made of pieces that matter to the decoder, with their chunks.
fn streams() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    let piece = prop::sample::select(vec![
        "data",
        "event",
        "id",
        "retry",
        ":",
        ": ",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "x",
        "12",
        "\u{feff}",
        "é",
        "\0",
        "{\"a\":1}",
    ]);
    let stream =
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes());
    (stream, prop::collection::vec(1..9_usize, 1..20))
}

proptest! {
    #[test]
    fn chunks_change_nothing((stream, sizes) in streams(), limit in 1..80_usize) {
        let mut chunks = Vec::new();
        let mut rest = stream.as_slice();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, tail) = rest.split_at(rest.len().min(*size));
            chunks.push(chunk);
            rest = tail;
        }
        let (whole, whole_error, first) = decode(limit, [stream.as_slice()]);
        let (parts, parts_error, second) = decode(limit, chunks);
        prop_assert_eq!((whole, whole_error), (parts, parts_error));
        prop_assert_eq!(first.last_event_id(), second.last_event_id());
        prop_assert_eq!(first.retry(), second.retry());
    }

    #[test]
    fn any_message_survives_the_frame(data in "\\PC*") {
        let (events, error, _) = decode(LIMIT, [&*encode_message(data.as_bytes())]);
        prop_assert_eq!(error, None);
        prop_assert_eq!(events.len(), 1);
        prop_assert_eq!(&*events[0].data, data.as_bytes());
    }
}
