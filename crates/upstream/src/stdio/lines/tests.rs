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
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut sender, receiver) = tokio::io::duplex(64);
    let lines = runtime.block_on(async move {
        let write = async move {
            for chunk in chunks {
                tokio::io::AsyncWriteExt::write_all(&mut sender, chunk.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let read = async {
            let mut reader = LineReader::new(receiver, 5);
            let mut lines = Vec::new();
            while let Some(line) = reader.next().await.unwrap() {
                lines.push(line);
            }
            lines
        };
        tokio::join!(write, read).1
    });
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
