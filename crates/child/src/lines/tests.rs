use bytes::Bytes;

use super::*;

#[tokio::test]
async fn lines_come_out_of_a_pipe_whatever_its_chunks() {
    let (mut sender, receiver) = tokio::io::duplex(4);
    let write = async move {
        tokio::io::AsyncWriteExt::write_all(&mut sender, b"one\n123456\nlast").await.unwrap();
    };
    let read = async {
        let mut reader = LineReader::new(receiver, 5);
        let mut lines = Vec::new();
        while let Some(line) = reader.next().await.unwrap() {
            lines.push(line);
        }
        lines
    };
    let ((), lines) = tokio::join!(write, read);
    let whole = |text: &'static str| Line::Whole(Bytes::from_static(text.as_bytes()));
    assert_eq!(lines, [whole("one"), Line::Cut("12345".into()), whole("last")]);
}

#[tokio::test]
async fn a_line_that_never_ends_is_cut_and_costs_little_memory() {
    let endless = tokio::io::repeat(b'x').take(256 << 20);
    let mut reader = LineReader::new(endless, 4096);
    assert!(matches!(reader.next().await, Ok(Some(Line::Cut(head))) if head.len() == 4096));
    assert_eq!(reader.next().await.unwrap(), None);
    let held = reader.lines.buffer().capacity();
    assert!(held <= 4 * CHUNK, "{held}");
}
