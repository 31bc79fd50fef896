//! Logs: one JSON object a line. Writing never blocks a request. Lines that the queue cannot take
//! are counted.

use std::fmt::{self, Write as _};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _};

use super::log_queue::LogQueue;
use crate::kernel::call::REQUEST_LOG;
use crate::kernel::clock::Clock;

/// What is waiting when the process ends is written within this time, or lost.
const LAST_LINES: Duration = Duration::from_millis(1200);

/// No text of a line has more bytes. Callers' words are among them.
const LONGEST_TEXT: usize = 4096;

/// How often it is looked whether they are written.
const LAST_LOOKS: Duration = Duration::from_millis(1);

/// Keeps the log's writer alive; dropped, it writes what is waiting.
#[derive(Debug)]
pub struct Telemetry {
    queue: LogQueue,
    writer: JoinHandle<()>,
}

impl Telemetry {
    /// Sends all logs of this process to standard output, filtered. A second call changes nothing.
    /// Errors: there is no thread to write them.
    pub fn start(filter: &str) -> io::Result<Self> {
        let (queue, writer) = LogQueue::start(io::stdout())?;
        // A test binary may have set another one before.
        let _ = tracing::subscriber::set_global_default(subscriber(filter, queue.clone()));
        Ok(Self { queue, writer })
    }

    /// Counts the lines that were dropped.
    pub fn dropped_lines(&self) -> &Arc<AtomicU64> {
        self.queue.dropped()
    }
}

impl Drop for Telemetry {
    /// Where nobody reads standard output any more, the writer never ends. So it is waited for only so long.
    fn drop(&mut self) {
        self.queue.close();
        let until = Instant::now() + LAST_LINES;
        while !self.writer.is_finished() && Instant::now() < until {
            thread::sleep(LAST_LOOKS);
        }
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
        let mut values = Values::of(metadata.fields().len());
        event.record(&mut values);
        let timestamp = Clock::machine_now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        write!(writer, r#"{{"timestamp":"{timestamp}","level":"{}""#, metadata.level())?;
        let mut fields = metadata.fields().iter().enumerate().peekable();
        while let Some((place, field)) = fields.next() {
            let Some((object, member)) = field.name().split_once('.') else {
                write!(writer, r#","{}":{}"#, field.name(), values.at(place))?;
                continue;
            };
            let mut members = format!(r#""{member}":{}"#, values.at(place));
            let mut is_known = values.is_set(place);
            let further = |name: &'static str| name.split_once('.').filter(|(of, _)| *of == object);
            while let Some((place, field)) = fields.next_if(|(_, field)| further(field.name()).is_some()) {
                let member = further(field.name()).map_or("", |(_, member)| member);
                write!(members, r#","{member}":{}"#, values.at(place))?;
                is_known |= values.is_set(place);
            }
            let value = if is_known { format!("{{{members}}}") } else { NULL.to_owned() };
            write!(writer, r#","{object}":{value}"#)?;
        }
        if metadata.target() != REQUEST_LOG {
            write!(writer, r#","target":"{}""#, metadata.target())?;
        }
        writer.write_str("}\n")
    }
}

const NULL: &str = "null";

/// The values of an event as JSON, one behind the other, and where that of each field stands.
struct Values {
    json: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Values {
    /// Of so many fields, none of which has a value yet.
    fn of(fields: usize) -> Self {
        Self { json: Vec::with_capacity(512), places: vec![0..0; fields] }
    }

    /// The value of the field at `place`, `null` where it has none.
    fn at(&self, place: usize) -> &str {
        let json = self.places.get(place).and_then(|range| self.json.get(range.clone())).unwrap_or_default();
        str::from_utf8(json).ok().filter(|json| !json.is_empty()).unwrap_or(NULL)
    }

    fn is_set(&self, place: usize) -> bool {
        self.places.get(place).is_some_and(|range| !range.is_empty())
    }

    fn set(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        let start = self.json.len();
        // Nothing that is recorded fails to be JSON; a field that did would stay null.
        if serde_json::to_writer(&mut self.json, value).is_ok()
            && let Some(place) = self.places.get_mut(field.index())
        {
            *place = start..self.json.len();
        }
    }
}

impl Visit for Values {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if value.len() <= LONGEST_TEXT {
            return self.set(field, value);
        }
        let start = &value[..value.floor_char_boundary(LONGEST_TEXT)];
        self.set(field, &format!("{start}… ({} bytes)", value.len()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let chain = std::iter::successors(Some(value), |&error| error.source());
        self.record_str(field, &chain.map(ToString::to_string).collect::<Vec<_>>().join(": "));
    }
}
