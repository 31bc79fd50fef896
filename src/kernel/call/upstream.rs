//! What the database answered to one request or worker step.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the status alone does not say: why there is no answer from the database to report, or how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// No connection became free in time.
    PoolExhausted,
    /// The database did not answer several times in a row, and was not asked again.
    BreakerOpen,
    /// The database said nothing in the time that it had on this side.
    NoAnswer,
    /// The work had not begun when its caller stopped waiting, may not begin yet, or began after most of a slow call's time.
    Queued,
    /// Another call asked for this one too, and its line says what was answered.
    Shared,
}

impl Evidence {
    /// As the log line spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PoolExhausted => "pool_exhausted",
            Self::BreakerOpen => "breaker_open",
            Self::NoAnswer => "no_answer",
            Self::Queued => "queued",
            Self::Shared => "shared",
        }
    }
}

/// What the database answered to one call, in HTTP terms: the last answer counts. That work was undone is none.
#[derive(Clone, Debug, Default)]
pub struct Upstream(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    answers: Answers,
    /// Since when an answer is waited for.
    asked_at: Option<Instant>,
    /// What else is waited for.
    waits: Option<Waits>,
}

/// What a call waits for that others do on its behalf.
#[derive(Clone, Debug)]
enum Waits {
    /// Its turn, at a connection or with the writer, since then.
    ForTurn(Instant),
    /// Work with a record of its own.
    ForWork(Upstream),
}

/// A copy of the record at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// HTTP-like status of the last answer; `None` when the database was never heard.
    pub status: Option<u16>,
    /// Time spent waiting for the database.
    pub latency: Option<Duration>,
    /// Time spent waiting for a turn: for a connection, or behind the work of others.
    pub turn: Duration,
    /// Why there is no answer, or how it is known that there was none.
    pub evidence: Option<Evidence>,
    /// How often the work was begun again after a passing failure.
    pub retries: u32,
    /// `executed` or `replayed`, for a request with an Idempotency-Key.
    pub idempotency: Option<&'static str>,
    /// `primary` or `standby`, for a call that read usage: where the last numbers came from.
    pub read_from: Option<&'static str>,
    /// Why the primary answered although there is a standby.
    pub read_fallback: Option<&'static str>,
}

impl Answers {
    fn waited(&mut self, latency: Duration) {
        self.latency = Some(self.latency.unwrap_or_default() + latency);
    }

    /// What was answered to others on this call's behalf.
    fn add(&mut self, other: &Self) {
        self.turn += other.turn;
        self.status = other.status;
        self.evidence = other.evidence;
        self.retries += other.retries;
        if let Some(latency) = other.latency {
            self.waited(latency);
        }
    }
}

impl Record {
    /// What was waited for has come.
    fn waits_no_more(&mut self) {
        if let Some(Waits::ForTurn(since)) = self.waits.take() {
            self.answers.turn += since.elapsed();
        }
    }
}

impl Upstream {
    /// The database is asked.
    pub fn asked(&self) {
        let mut record = self.record();
        record.waits_no_more();
        record.asked_at = Some(Instant::now());
    }

    /// The database answered, or was overrun, after `latency`.
    pub fn answered(&self, status: u16, latency: Duration) {
        let mut record = self.record();
        record.waits_no_more();
        record.asked_at = None;
        record.answers.status = Some(status);
        // That it fell silent may have been noted just before.
        record.answers.evidence = record.answers.evidence.filter(|known| status == 504 && *known == Evidence::NoAnswer);
        record.answers.waited(latency);
    }

    /// The database undid work, in `latency`: the call stays known by what it answered to that work.
    pub fn undone(&self, latency: Duration) {
        let mut record = self.record();
        record.asked_at = None;
        record.answers.waited(latency);
    }

    /// The database said nothing in the time that it had on this side.
    pub fn gave_up(&self) {
        self.change(|answers| answers.evidence = Some(Evidence::NoAnswer));
    }

    /// The database was not asked.
    pub fn not_asked(&self, evidence: Evidence) {
        let mut record = self.record();
        record.waits_no_more();
        (record.answers.status, record.answers.evidence) = (None, Some(evidence));
    }

    /// What failed was asked by another call. What this one knows by itself stays.
    pub fn relied_on_another(&self) {
        self.change(|answers| {
            if answers.status.is_none() {
                answers.evidence.get_or_insert(Evidence::Shared);
            }
        });
    }

    /// A connection is to become free, or somebody else is to do the work and has not begun. Ends as soon as the database
    /// is asked, or with [`Upstream::take_over`].
    pub fn waits_for_turn(&self) {
        let mut record = self.record();
        record.waits_no_more();
        record.waits = Some(Waits::ForTurn(Instant::now()));
    }

    /// The work that is done on this call's behalf has this record. Ends with [`Upstream::take_over`].
    pub fn waits_for(&self, work: &Self) {
        let mut record = self.record();
        record.waits_no_more();
        record.waits = Some(Waits::ForWork(work.clone()));
    }

    /// The work is begun again.
    pub fn retried(&self) {
        self.change(|answers| answers.retries += 1);
    }

    /// What the Idempotency-Key led to.
    pub fn keyed(&self, outcome: &'static str) {
        self.change(|answers| answers.idempotency = Some(outcome));
    }

    /// Where numbers came from.
    pub fn read_from(&self, source: &'static str) {
        self.change(|answers| answers.read_from = Some(source));
    }

    /// Why they came from the primary although there is a standby.
    pub fn fell_back(&self, reason: &'static str) {
        self.change(|answers| answers.read_fallback = Some(reason));
    }

    /// Takes over what the database answered to work that was done on this call's behalf.
    pub fn take_over(&self, other: &Self) {
        let other = other.answers();
        let mut record = self.record();
        record.waits_no_more();
        record.answers.add(&other);
    }

    /// What is known so far. Whoever waits now has been answered nothing: an earlier answer does not stand for the one
    /// that is missing.
    pub fn answers(&self) -> Answers {
        let (mut answers, asked_at, waits) = {
            let record = self.record();
            (record.answers, record.asked_at, record.waits.clone())
        };
        if let Some(asked_at) = asked_at {
            answers.status = Some(504);
            answers.waited(asked_at.elapsed());
        }
        match waits {
            None => {}
            Some(Waits::ForTurn(since)) => {
                answers.turn += since.elapsed();
                (answers.status, answers.evidence) = (None, Some(Evidence::Queued));
            }
            Some(Waits::ForWork(work)) => answers.add(&work.answers()),
        }
        answers
    }

    fn change(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.record().answers);
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_counts_and_waiting_adds_up() {
        let upstream = Upstream::default();
        assert_eq!(upstream.answers(), Answers::default());
        upstream.answered(409, Duration::from_millis(2));
        upstream.clone().answered(200, Duration::from_millis(3));
        let answers = upstream.answers();
        assert_eq!((answers.status, answers.latency), (Some(200), Some(Duration::from_millis(5))));
        upstream.answered(503, Duration::from_millis(7));
        upstream.undone(Duration::from_millis(11));
        let answers = upstream.answers();
        assert_eq!((answers.status, answers.latency), (Some(503), Some(Duration::from_millis(23))));
    }

    #[test]
    fn who_waits_is_not_known_by_an_earlier_answer() {
        let (post, batch) = (Upstream::default(), Upstream::default());
        post.answered(200, Duration::from_millis(2));
        post.waits_for_turn();
        assert_eq!((post.answers().status, post.answers().evidence), (None, Some(Evidence::Queued)));
        post.waits_for(&batch);
        assert_eq!(post.answers().status, None, "the batch has asked nothing yet");
        batch.asked();
        assert_eq!(post.answers().status, Some(504), "it is asking");
        batch.answered(200, Duration::from_millis(3));
        assert_eq!((post.answers().status, post.answers().latency), (Some(200), Some(Duration::from_millis(5))));
        post.take_over(&batch);
        batch.answered(500, Duration::from_millis(7));
        assert_eq!((post.answers().status, post.answers().latency), (Some(200), Some(Duration::from_millis(5))));
    }

    #[test]
    fn who_waits_for_a_connection_waits_until_the_database_is_asked() {
        let read = Upstream::default();
        read.answered(200, Duration::from_millis(2));
        read.waits_for_turn();
        assert_eq!((read.answers().status, read.answers().evidence), (None, Some(Evidence::Queued)));
        read.asked();
        assert_eq!((read.answers().status, read.answers().evidence), (Some(504), None));
        read.answered(200, Duration::from_millis(2));
        read.waits_for_turn();
        read.not_asked(Evidence::PoolExhausted);
        assert_eq!((read.answers().status, read.answers().evidence), (None, Some(Evidence::PoolExhausted)));
    }

    #[test]
    fn what_goes_by_before_a_turn_is_no_time_of_the_database() {
        let (post, batch) = (Upstream::default(), Upstream::default());
        post.waits_for_turn();
        std::thread::sleep(Duration::from_millis(3));
        assert!(post.answers().turn >= Duration::from_millis(3));
        post.waits_for(&batch);
        let turn = post.answers().turn;
        batch.waits_for_turn();
        std::thread::sleep(Duration::from_millis(2));
        batch.asked();
        batch.answered(200, Duration::from_millis(1));
        post.take_over(&batch);
        let answers = post.answers();
        assert!(answers.turn >= turn + Duration::from_millis(2), "{answers:?} after {turn:?}");
        assert_eq!((answers.status, answers.latency), (Some(200), Some(Duration::from_millis(1))));
    }

    #[test]
    fn who_relied_on_another_says_so_unless_it_knows_more() {
        let upstream = Upstream::default();
        upstream.relied_on_another();
        assert_eq!((upstream.answers().status, upstream.answers().evidence), (None, Some(Evidence::Shared)));
        upstream.not_asked(Evidence::BreakerOpen);
        upstream.relied_on_another();
        assert_eq!(upstream.answers().evidence, Some(Evidence::BreakerOpen));
        upstream.answered(503, Duration::from_millis(1));
        upstream.relied_on_another();
        assert_eq!((upstream.answers().status, upstream.answers().evidence), (Some(503), None));
    }

    #[test]
    fn a_silence_is_evidence_until_something_is_answered() {
        let upstream = Upstream::default();
        upstream.gave_up();
        upstream.answered(504, Duration::from_secs(5));
        assert_eq!((upstream.answers().status, upstream.answers().evidence), (Some(504), Some(Evidence::NoAnswer)));
        upstream.answered(200, Duration::from_millis(1));
        assert_eq!((upstream.answers().status, upstream.answers().evidence), (Some(200), None));
        upstream.not_asked(Evidence::BreakerOpen);
        assert_eq!((upstream.answers().status, upstream.answers().evidence), (None, Some(Evidence::BreakerOpen)));
    }
}
