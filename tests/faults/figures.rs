//! What callers met: how many answers of which status, how slow, and whatever should not have been.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use crate::history::Micros;
use crate::script::Fault;
use crate::server::DEADLINE;

/// An answer may come so much later than the deadline, on a busy machine.
const GRACE: Duration = Duration::from_secs(2);
/// How many surprises are told.
const TOLD: usize = 20;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    Buckets,
    Listing,
    Rollups,
    Erasure,
    Live,
    Ready,
}

/// One exchange, as its caller met it.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub route: Route,
    /// The server's position.
    pub server: usize,
    pub began: Micros,
    pub ended: Micros,
    /// `None` where no answer came, or half of one.
    pub status: Option<u16>,
    pub code: Option<String>,
    pub retry_after: bool,
}

/// When the way to a server, or the server itself, was out of order, so that it cannot be blamed for what callers meet.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<Vec<(usize, Micros, Micros)>>);

impl Troubles {
    pub fn begin(&self, server: usize, now: Micros) {
        self.0.lock().unwrap().push((server, now, Micros::MAX));
    }

    pub fn end(&self, server: usize, now: Micros) {
        let mut troubles = self.0.lock().unwrap();
        let open = troubles.iter_mut().filter(|trouble| trouble.0 == server && trouble.2 == Micros::MAX);
        open.for_each(|trouble| trouble.2 = now);
    }

    /// What a client sent on a connection of before, or before the end was noted, is excused as well.
    fn excuse(&self, exchange: &Exchange) -> bool {
        let slack = 200_000;
        let troubles = self.0.lock().unwrap();
        troubles.iter().any(|(server, from, to)| {
            *server == exchange.server && *from <= exchange.ended && exchange.began <= to.saturating_add(slack)
        })
    }
}

#[derive(Debug, Default)]
pub struct Figures {
    counts: BTreeMap<(Route, String), u64>,
    slowest: BTreeMap<Route, Duration>,
    /// How soon a server was ready after PostgreSQL answered again, or after it listened itself.
    ready_after: Vec<Duration>,
    /// How soon it acknowledged a post.
    acknowledging_after: Vec<Duration>,
    /// How soon a server that was started again listened.
    pub listening_after: Vec<Duration>,
    /// What should not have been.
    pub surprises: Vec<String>,
}

impl Figures {
    pub fn count(&mut self, exchange: &Exchange, troubles: &Troubles) {
        let Exchange { route, began, ended, status, ref code, retry_after, .. } = *exchange;
        let said = match (status, code) {
            (Some(status), Some(code)) => format!("{status} {code}"),
            (Some(status), None) => status.to_string(),
            (None, _) => "no answer".to_owned(),
        };
        *self.counts.entry((route, said)).or_default() += 1;
        let took = Duration::from_micros(u64::try_from(ended - began).unwrap_or(0));
        let excused = troubles.excuse(exchange);
        if !excused {
            let slowest = self.slowest.entry(route).or_default();
            *slowest = took.max(*slowest);
        }
        let surprise = match status {
            _ if took > DEADLINE + GRACE && !excused => "took too long",
            None if !excused => "had no answer",
            Some(503) if !retry_after => "was refused without Retry-After",
            Some(200 | 304 | 503 | 504) | None if route != Route::Live => return,
            Some(200) | None => return,
            Some(409) if code.as_deref() == Some("idempotency_in_progress") => return,
            Some(_) => "had a wrong answer",
        };
        if self.surprises.len() < TOLD {
            self.surprises.push(format!("{surprise} after {} ms: {exchange:?}", took.as_millis()));
        }
    }

    pub fn became_ready(&mut self, server: usize, fault: &Fault, after: Duration, limit: Duration) {
        self.ready_after.push(after);
        if after > limit {
            let after = after.as_millis();
            self.surprises.push(format!("server {server} was ready only {after} ms after {fault:?}"));
        }
    }

    pub fn acknowledged(&mut self, server: usize, fault: &Fault, after: Duration, limit: Duration) {
        self.acknowledging_after.push(after);
        if after > limit {
            let after = after.as_millis();
            self.surprises.push(format!("server {server} acknowledged a post only {after} ms after {fault:?}"));
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((route, said), count) in &self.counts {
            writeln!(formatter, "{count:8}  {route:?}  {said}")?;
        }
        for (route, slowest) in &self.slowest {
            writeln!(formatter, "{:>5} ms  slowest of {route:?} while the way to it was open", slowest.as_millis())?;
        }
        let again = [
            ("listening", &self.listening_after),
            ("ready", &self.ready_after),
            ("acknowledging", &self.acknowledging_after),
        ];
        for (name, list) in again {
            let (least, most) = (list.iter().min(), list.iter().max());
            if let (Some(least), Some(most)) = (least, most) {
                let (least, most, times) = (least.as_millis(), most.as_millis(), list.len());
                writeln!(formatter, "{name} again after {least} to {most} ms, {times} times")?;
            }
        }
        self.surprises.iter().try_for_each(|surprise| writeln!(formatter, "{surprise}"))
    }
}
