use super::*;

fn whole(text: &str) -> Line {
    Line::Whole(text.to_owned().into())
}

fn cut(text: &str) -> Line {
    Line::Cut(text.to_owned().into())
}

/// Reads `chunks` with a limit of 5 bytes.
#[track_caller]
fn check(chunks: &[&str], expected: &[Line]) {
    let mut decoder = Decoder::new(5);
    let mut lines = Vec::new();
    for chunk in chunks {
        decoder.buffer().extend_from_slice(chunk.as_bytes());
        lines.extend(std::iter::from_fn(|| decoder.next()));
    }
    lines.extend(decoder.finish());
    assert_eq!(lines, expected, "{chunks:?}");
}

#[test]
fn lines_end_where_they_end_whatever_the_chunks() {
    check(&["a\nb\n"], &[whole("a"), whole("b")]);
    check(&["a", "b\n", "", "c\n"], &[whole("ab"), whole("c")]);
    check(&["\n\n"], &[whole(""), whole("")]);
    check(&["12345\n"], &[whole("12345")]);
    check(&["last"], &[whole("last")]);
    check(&[], &[]);
}

#[test]
fn a_line_that_is_too_long_is_cut_once() {
    check(&["123456\nok\n"], &[cut("12345"), whole("ok")]);
    check(&["123456", "789", "0\nok\n"], &[cut("12345"), whole("ok")]);
    check(&["123456", "7"], &[cut("12345")]);
    check(&["123456", "\n", "123456\n", "ok"], &[cut("12345"), cut("12345"), whole("ok")]);
}

#[test]
fn a_line_without_end_is_not_kept() {
    let mut decoder = Decoder::new(1000);
    for _ in 0..10_000 {
        decoder.buffer().extend_from_slice(&[b'x'; 1000]);
        while decoder.next().is_some() {}
    }
    assert!(decoder.buffer().capacity() < 10_000, "{}", decoder.buffer().capacity());
}

#[track_caller]
fn check_encoded(messages: &[&str], expected: &str) {
    let mut out = Vec::new();
    for message in messages {
        encode(&mut out, message.as_bytes());
    }
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn a_message_is_one_line_however_it_was_written() {
    check_encoded(&["{}", r#"{"a":"\n"}"#], "{}\n{\"a\":\"\\n\"}\n");
    check_encoded(&["{\r\n \"a\":1\n}"], "{   \"a\":1 }\n");
    check_encoded(&["\n1\n"], " 1 \n");
}
