//! Deadlines, phase by phase, on a paused clock.

use domain::Span;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::sleep;

use super::*;

fn socket(phase: Phase) -> (Socket<DuplexStream>, DuplexStream) {
    let config = Config {
        header_timeout: Span::secs(2),
        read_timeout: Span::secs(3),
        idle_timeout: Span::secs(5),
        write_timeout: Span::secs(7),
        ..Config::default()
    };
    let progress = Arc::new(Progress::default());
    progress.enter(phase);
    let (near, far) = duplex(16);
    (Socket::new(near, progress, Patience::from(&config)), far)
}

/// How long a read waits in that phase before it gives up.
async fn patience(phase: Phase) -> Option<u64> {
    let (mut socket, _far) = socket(phase);
    let start = Instant::now();
    let read = tokio::time::timeout(Duration::from_secs(1000), socket.read_u8()).await.ok()?;
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(socket.progress.expired());
    Some(start.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn each_phase_has_its_own_patience() {
    assert_eq!(patience(Phase::Fresh).await, Some(2));
    assert_eq!(patience(Phase::Head).await, Some(2));
    assert_eq!(patience(Phase::Body).await, Some(3));
    assert_eq!(patience(Phase::Idle).await, Some(5));
    assert_eq!(patience(Phase::Busy).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_begins_a_head_and_later_ones_do_not_extend_it() {
    let (mut socket, mut far) = socket(Phase::Idle);
    let start = Instant::now();
    let dripping = tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(1500)).await;
            if far.write_u8(b'x').await.is_err() {
                return;
            }
        }
    });
    let failed = loop {
        if let Err(error) = socket.read_u8().await {
            break error;
        }
        assert_eq!(socket.progress.phase(), Phase::Head);
    };
    assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), Duration::from_millis(3500));
    drop(socket);
    dripping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_phase_that_comes_again_is_timed_anew() {
    let (mut socket, mut far) = socket(Phase::Idle);
    for _ in 0..3 {
        let (read, ()) = tokio::join!(socket.read_u8(), async {
            sleep(Duration::from_secs(4)).await;
            far.write_u8(b'x').await.unwrap();
        });
        read.unwrap();
        socket.progress.enter(Phase::Busy);
        socket.progress.enter(Phase::Idle);
    }
    let start = Instant::now();
    assert_eq!(socket.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_write_must_make_progress() {
    let (mut socket, mut far) = socket(Phase::Busy);
    let start = Instant::now();
    let reading = tokio::spawn(async move {
        sleep(Duration::from_secs(6)).await;
        far.read_exact(&mut [0; 8]).await.unwrap();
        far
    });
    let failed = socket.write_all(&[0; 64]).await.unwrap_err();
    assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 6 + 7);
    reading.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn closing_waits_a_little_for_a_client_that_still_sends() {
    for (linger, closed_after) in [(false, Duration::ZERO), (true, LINGER)] {
        let (mut socket, mut far) = socket(Phase::Busy);
        if linger {
            socket.progress.linger();
        }
        far.write_all(b"still here").await.unwrap();
        let start = Instant::now();
        socket.shutdown().await.unwrap();
        assert_eq!(start.elapsed(), closed_after);
        assert_eq!(
            far.read(&mut [0; 8]).await.unwrap(),
            0,
            "the end of the answer is seen at once"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn closing_waits_no_longer_than_the_client() {
    let (mut socket, far) = socket(Phase::Busy);
    socket.progress.linger();
    let start = Instant::now();
    let gone = tokio::spawn(async move {
        sleep(Duration::from_millis(100)).await;
        drop(far);
    });
    socket.shutdown().await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(100));
    gone.await.unwrap();
}
