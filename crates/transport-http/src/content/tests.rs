//! Reading within the limit.

use futures_util::stream;
use http_body_util::StreamBody;

use super::*;

async fn read_pieces(pieces: &[&'static str], limit: usize) -> Result<Bytes, Unread> {
    let frames =
        pieces.iter().map(|piece| Ok::<_, axum::Error>(Frame::data(piece.as_bytes().into())));
    read(StreamBody::new(stream::iter(frames.collect::<Vec<_>>())), limit).await
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    for (pieces, body) in [
        (&[][..], ""),
        (&[""], ""),
        (&["abc"], "abc"),
        (&["", "abc"], "abc"),
        (&["ab", "", "c", "d"], "abcd"),
    ] {
        assert_eq!(read_pieces(pieces, 4).await.unwrap(), body, "{pieces:?}");
    }
    for (pieces, known) in [(&["abcde"][..], 5), (&["abc", "de"], 5), (&["a", "bcde", "f"], 5)] {
        let unread = read_pieces(pieces, 4).await.unwrap_err();
        assert!(matches!(unread, Unread::TooLarge(size) if size == known), "{pieces:?} {unread:?}");
    }
}

#[tokio::test]
async fn a_body_that_comes_whole_is_not_copied() {
    let body = Bytes::from(vec![b'x'; 100]);
    let read = read(http_body_util::Full::new(body.clone()), 100).await.unwrap();
    assert_eq!(read.as_ptr(), body.as_ptr());
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_not_read() {
    let body = axum::body::Body::from(vec![b'x'; 101]);
    let unread = read(body, 100).await.unwrap_err();
    assert!(matches!(unread, Unread::TooLarge(101)), "{unread:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_a_message() {
    let frames = [Ok(Frame::data(Bytes::from_static(b"ab"))), Err(axum::Error::new("gone"))];
    let unread = read(StreamBody::new(stream::iter(frames)), 4).await.unwrap_err();
    assert!(matches!(unread, Unread::Broken(2)), "{unread:?}");
}
