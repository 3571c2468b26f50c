use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use domain::SystemClock;
use tracing_subscriber::fmt::MakeWriter;

use super::{start_writer, subscriber};
use crate::{Error, Format, Level, LogFile, LoggingConfig, Output};

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What is written when `events` happen under that format and level.
fn logged(format: Format, level: Level, events: impl FnOnce()) -> String {
    let sink = Sink::default();
    let config = LoggingConfig { format, level, ..LoggingConfig::default() };
    tracing::subscriber::with_default(subscriber(&config, sink.clone()), events);
    let bytes = sink.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// What a client would send to forge a line, colour it, or turn it around.
const HOSTILE: &str = "a\n2030-01-01 ERROR forged\r\u{1b}[31m\u{85}\u{2028}\u{202e}\u{0}ü";

#[test]
fn text_events_keep_to_one_line() {
    let text = logged(Format::Text, Level::Info, || {
        let span = tracing::info_span!("session", name = HOSTILE);
        span.in_scope(|| tracing::info!(client = %HOSTILE, raw = ?HOSTILE, "hello {HOSTILE}"));
    });
    assert_eq!(text.matches('\n').count(), 1, "{text:?}");
    assert!(text.ends_with('\n'));
    let hidden = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}');
    assert!(!text.trim_end_matches('\n').contains(hidden), "{text:?}");
    assert!(text.contains("\\u000a2030-01-01 ERROR forged"), "{text:?}");
    assert!(text.contains('ü'), "other text stays as it is");
}

#[test]
fn json_events_keep_to_one_line_and_lose_nothing() {
    let text = logged(Format::Json, Level::Info, || tracing::warn!(client = HOSTILE, "hello"));
    assert_eq!(text.matches('\n').count(), 1, "{text:?}");
    assert!(!text.contains(['\u{85}', '\u{2028}', '\u{202e}']), "{text:?}");
    let event: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(event["client"], HOSTILE);
    assert_eq!(event["message"], "hello");
    assert_eq!(event["level"], "WARN");
    assert!(event["timestamp"].is_string() && event["target"].is_string());
}

/// How many of one event at each level, by us and by a library, are written.
#[track_caller]
fn check(level: Level, own: usize, library: usize) {
    let text = logged(Format::Text, level, || {
        tracing::error!("own");
        tracing::warn!("own");
        tracing::info!("own");
        tracing::debug!("own");
        tracing::trace!("own");
        tracing::info!(target: "hyper::proto", "library");
        tracing::debug!(target: "h2", "library");
        tracing::trace!(target: "rustls", "library");
        tracing::trace!(target: "tungstenite::protocol", "library with a secret");
    });
    assert_eq!(text.matches("own").count(), own, "{level:?}\n{text}");
    assert_eq!(text.matches("library").count(), library, "{level:?}\n{text}");
}

#[test]
fn levels_select() {
    check(Level::Error, 1, 0);
    check(Level::Warn, 2, 0);
    check(Level::Info, 3, 1);
    check(Level::Debug, 4, 1);
    check(Level::Trace, 5, 3);
}

#[test]
fn the_guard_writes_what_waits_into_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.log");
    let config = LoggingConfig {
        output: Output::File,
        file: LogFile { path: path.clone(), ..LogFile::default() },
        ..LoggingConfig::default()
    };
    let (writer, guard) = start_writer(&config, Arc::new(SystemClock)).unwrap();
    tracing::subscriber::with_default(subscriber(&config, writer), || tracing::info!("hello"));
    assert_eq!(guard.dropped_lines()(), 0);
    drop(guard);
    assert!(fs::read_to_string(path).unwrap().contains("hello"));
}

#[test]
fn a_file_that_cannot_be_written_names_key_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let config = LoggingConfig {
        output: Output::File,
        file: LogFile { path: folder.path().join("no/gate.log"), ..LogFile::default() },
        ..LoggingConfig::default()
    };
    let error = start_writer(&config, Arc::new(SystemClock)).err().unwrap();
    assert!(matches!(error, Error::LogFile { .. }));
    let text = error.to_string();
    assert!(text.starts_with("`logging.file.path`: cannot write") && text.contains("no/gate.log"));
    assert!(text.ends_with("name a file in a folder that the gateway may write to"), "{text}");
}
