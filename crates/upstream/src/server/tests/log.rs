//! What is logged, for tests that look.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::fmt::MakeWriter;

/// With one subscriber alone, a thread that does not have it and is the first to log from a place
/// would silence that place for all.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));

/// Keeps what is logged as JSON.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Keeps what this thread logs until the guard is dropped.
    pub(super) fn listen(&self) -> DefaultGuard {
        let subscriber = tracing_subscriber::fmt().json().with_writer(self.clone()).finish();
        LazyLock::force(&SECOND);
        tracing::subscriber::set_default(subscriber)
    }

    /// Level and fields of each line.
    pub(super) fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap().clone();
        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            let mut fields = vec![];
            for name in ["message", "server", "error"] {
                if let Some(value) = line["fields"].get(name) {
                    fields.push(format!("\"{name}\":{value}"));
                }
            }
            format!("{} {{{}}}", line["level"].as_str().unwrap(), fields.join(","))
        };
        String::from_utf8(bytes).unwrap().lines().map(line).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
