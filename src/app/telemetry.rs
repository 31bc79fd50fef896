//! Logs: one JSON object a line. Writing never blocks a request; lines that the queue cannot take are counted.

use std::fmt;
use std::io::BufWriter;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _};

use crate::kernel::clock::Clock;

/// Lines that may wait to be written; more are dropped and counted.
const QUEUE_LINES: usize = 65_536;

/// Keeps the log's writer alive; dropped, it writes what is waiting.
#[derive(Debug)]
pub struct Telemetry {
    _writer: WorkerGuard,
    dropped: ErrorCounter,
}

impl Telemetry {
    /// Sends all logs of this process to standard output, filtered. A second call changes nothing.
    pub fn start(filter: &str) -> Self {
        // Buffered: the writer's thread flushes whenever no line is waiting.
        let stdout = BufWriter::with_capacity(64 * 1024, std::io::stdout());
        let (writer, guard): (NonBlocking, WorkerGuard) =
            NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE_LINES).finish(stdout);
        let dropped = writer.error_counter();
        // A test binary may have set another one before.
        let _ = tracing::subscriber::set_global_default(subscriber(filter, writer));
        Self { _writer: guard, dropped }
    }

    /// How many lines were dropped so far.
    pub fn dropped_lines(&self) -> &ErrorCounter {
        &self.dropped
    }
}

/// The subscriber, writing wherever `writer` says.
pub fn subscriber(
    filter: &str,
    writer: impl for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    let lines = tracing_subscriber::fmt::layer().event_format(JsonLines).with_ansi(false).with_writer(writer);
    tracing_subscriber::registry().with(lines.with_filter(EnvFilter::new(filter)))
}

/// One JSON object an event. M1 lines are objects already and are passed on whole, nulls included.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let timestamp = Clock::machine_now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let head = format!(r#"{{"timestamp":"{timestamp}","level":"{}""#, metadata.level());
        if metadata.target() == "halfhour::m1"
            && let Some(Value::String(line)) = fields.0.get("line")
        {
            return writeln!(writer, "{head},{}", line.trim_start_matches('{'));
        }
        fields.0.insert("target".to_owned(), metadata.target().into());
        let rest = serde_json::to_string(&fields.0).map_err(|_| fmt::Error)?;
        writeln!(writer, "{head},{}", rest.trim_start_matches('{'))
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let chain = std::iter::successors(Some(value), |&error| error.source());
        let text = chain.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        self.0.insert(field.name().to_owned(), text.into());
    }
}
