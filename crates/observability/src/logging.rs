//! Where the gateway's own log goes.

use std::fmt;
use std::io;
use std::sync::Arc;

use domain::{Clock, SystemClock};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{DefaultFields, Format as Layout, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::escape::write_escaped;
use crate::rotate::Rotating;
use crate::{Error, Format, Level, LoggingConfig, Output};

/// Lines that may wait for the log. Beyond it they are dropped and counted: a log that cannot keep up must not hold
/// up the gateway.
const WAITING_LINES: usize = 16_384;

/// Libraries whose debug events say more about HTTP than about the gateway; `trace` shows them.
const CHATTY: [&str; 5] = ["h2", "hyper", "hyper_util", "rustls", "tower"];

/// Libraries whose trace events hold whole messages and addresses with their queries: secrets must not get into the
/// log at any level.
const INDISCREET: [&str; 2] = ["tokio_tungstenite", "tungstenite"];

/// Keeps the log going; dropping it writes what waits.
#[must_use]
pub struct Guard {
    _worker: WorkerGuard,
    dropped: ErrorCounter,
}

impl Guard {
    /// A count of the lines that were lost because the log could not keep up, for
    /// [`Reading::LogLinesDropped`](crate::Reading::LogLinesDropped).
    pub fn dropped_lines(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let dropped = self.dropped.clone();
        move || dropped.dropped_lines() as u64
    }
}

/// Sends the process's trace events where the configuration says.
///
/// # Errors
///
/// [`Error::LogFile`] when the file cannot be opened, [`Error::AlreadySet`] on the second call.
pub fn init_tracing(config: &LoggingConfig) -> Result<Guard, Error> {
    let (writer, guard) = start_writer(config, Arc::new(SystemClock))?;
    subscriber(config, writer).try_init().map_err(|_| Error::AlreadySet)?;
    Ok(guard)
}

fn start_writer(
    config: &LoggingConfig,
    clock: Arc<dyn Clock>,
) -> Result<(NonBlocking, Guard), Error> {
    let builder = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .lossy(true)
        .thread_name("log");
    let (writer, worker) = match config.output {
        Output::Stderr => builder.finish(io::stderr()),
        Output::Stdout => builder.finish(io::stdout()),
        Output::File => {
            let file = Rotating::open(&config.file, clock)
                .map_err(|cause| Error::LogFile { path: config.file.path.clone(), cause })?;
            builder.finish(file)
        }
    };
    let dropped = writer.error_counter();
    Ok((writer, Guard { _worker: worker, dropped }))
}

fn subscriber<W>(config: &LoggingConfig, writer: W) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let layout = Layout::default().with_ansi(false);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        Format::Json => lines
            .fmt_fields(JsonFields::new())
            .event_format(OneLine(layout.json().flatten_event(true).with_span_list(false)))
            .boxed(),
        Format::Text => {
            lines.fmt_fields(DefaultFields::new()).event_format(OneLine(layout)).boxed()
        }
    };
    tracing_subscriber::registry().with(layer.with_filter(filter(config.level)))
}

fn filter(level: Level) -> Targets {
    let (own, libraries) = match level {
        Level::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
        Level::Warn => (LevelFilter::WARN, LevelFilter::WARN),
        Level::Info => (LevelFilter::INFO, LevelFilter::INFO),
        Level::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
        Level::Trace => (LevelFilter::TRACE, LevelFilter::TRACE),
    };
    Targets::new()
        .with_default(own)
        .with_targets(CHATTY.map(|library| (library, libraries)))
        .with_targets(INDISCREET.map(|library| (library, own.min(LevelFilter::INFO))))
}

/// An event format whose events cannot begin a second line.
struct OneLine<F>(F);

impl<S, N, F> FormatEvent<S, N> for OneLine<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        write_escaped(&mut writer, line.trim_end_matches('\n'))?;
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests;
