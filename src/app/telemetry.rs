//! Logs: one JSON object a line. Writing never blocks a request. Lines that the queue cannot take
//! are counted.

use std::fmt::{self, Write as _};
use std::io::BufWriter;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _};

use crate::kernel::call::REQUEST_LOG;
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

/// One JSON object an event: every field that the event declares, in order, and null where it has no value. `a.b` is the
/// member `b` of the object `a`.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut values = Values(vec![Value::Null; metadata.fields().len()]);
        event.record(&mut values);
        let mut line = Line::begin();
        line.member("timestamp", &Clock::machine_now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true).into())?;
        line.member("level", &metadata.level().as_str().into())?;
        let mut fields = metadata.fields().iter().zip(values.0).peekable();
        while let Some((field, value)) = fields.next() {
            let Some((object, member)) = field.name().split_once('.') else {
                line.member(field.name(), &value)?;
                continue;
            };
            let mut members = Map::from_iter([(member.to_owned(), value)]);
            let further = |name: &'static str| name.split_once('.').filter(|(of, _)| *of == object);
            while let Some((field, value)) = fields.next_if(|(field, _)| further(field.name()).is_some()) {
                members.extend(further(field.name()).map(|(_, member)| (member.to_owned(), value)));
            }
            let is_unknown = members.values().all(Value::is_null);
            line.member(object, &if is_unknown { Value::Null } else { Value::Object(members) })?;
        }
        if metadata.target() != REQUEST_LOG {
            line.member("target", &metadata.target().into())?;
        }
        writeln!(writer, "{}", line.end())
    }
}

/// An object on its way to one line of text.
struct Line(String);

impl Line {
    fn begin() -> Self {
        Self("{".to_owned())
    }

    fn member(&mut self, name: &str, value: &Value) -> fmt::Result {
        let separator = if self.0.len() == 1 { "" } else { "," };
        // A value prints itself as JSON; so does a name.
        write!(self.0, "{separator}{}:{value}", Value::from(name))
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// The values of an event, each at its field's place.
struct Values(Vec<Value>);

impl Values {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        if let Some(place) = self.0.get_mut(field.index()) {
            *place = value.into();
        }
    }
}

impl Visit for Values {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let chain = std::iter::successors(Some(value), |&error| error.source());
        self.set(field, chain.map(ToString::to_string).collect::<Vec<_>>().join(": "));
    }
}
