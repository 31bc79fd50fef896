//! What is broken, and in which order, as a seed says.

use std::time::Duration;

use crate::proxy::Rule;
use crate::random::Random;

/// What is broken for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connections of a server to PostgreSQL.
    Database { server: usize, rule: Rule, for_good: bool },
    /// The connections of clients to a server. They go on afterwards, because a client's own patience would decide how
    /// long it waits on one that is lost.
    Clients { server: usize, rule: Rule },
    /// `SIGKILL`, and a new start.
    KillServer { server: usize },
    /// `SIGSTOP`, and `SIGCONT`.
    FreezeServer { server: usize },
    /// An immediate shutdown, and a new start.
    StopPostgres,
    /// `SIGKILL` of every process, and a new start.
    KillPostgres,
    /// `SIGKILL` of one backend. PostgreSQL ends all others and recovers.
    KillBackend,
    /// `SIGSTOP` of every process, and `SIGCONT`.
    FreezePostgres,
    /// No fault: everything of one user is deleted, while the user's devices go on.
    Erase { user: usize, server: usize },
}

impl Fault {
    /// Whether PostgreSQL says nothing to a server while connections stay open.
    const fn is_silence(self) -> bool {
        use Rule::{SilenceBoth, SilenceReplies, SilenceRequests};
        matches!(
            self,
            Self::Database { rule: SilenceBoth | SilenceReplies | SilenceRequests, .. } | Self::FreezePostgres
        )
    }
}

/// Leaves out faults that a build of the server is known not to survive: `FAULTS_WITHOUT=silence`.
pub fn without(steps: &mut Vec<Step>, left_out: &str) {
    assert_eq!(left_out, "silence", "FAULTS_WITHOUT knows `silence` only");
    steps.retain(|step| !step.fault.is_silence());
}

/// A fault, how long it lasts, and how long all is well afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub fault: Fault,
    pub lasts: Duration,
    pub rests: Duration,
}

/// How long a step lasts and rests, at least and at most, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub lasts_ms: (u64, u64),
    pub rests_ms: (u64, u64),
}

fn milliseconds(random: &mut Random, (least, most): (u64, u64)) -> Duration {
    Duration::from_millis(random.between(least, most))
}

fn rules(random: &mut Random) -> [Rule; 7] {
    let mut bytes = || usize::try_from(random.between(0, 6_000)).unwrap();
    let (cut, reset) = (bytes(), bytes());
    [
        Rule::Delay(milliseconds(random, (20, 400))),
        Rule::CutReplies(cut),
        Rule::Reset(reset),
        Rule::SilenceRequests,
        Rule::SilenceReplies,
        Rule::SilenceBoth,
        Rule::Refuse,
    ]
}

/// Every kind of fault once, at either server, in an order of the seed's.
pub fn every_kind(random: &mut Random, pace: Pace) -> Vec<Step> {
    let mut server = || random.below(2);
    let (killed, frozen, erasing) = (server(), server(), server());
    let mut faults = vec![
        Fault::KillServer { server: killed },
        Fault::FreezeServer { server: frozen },
        Fault::StopPostgres,
        Fault::KillPostgres,
        Fault::KillBackend,
        Fault::FreezePostgres,
        Fault::Erase { user: 0, server: erasing },
    ];
    for rule in rules(random) {
        faults.push(Fault::Database { server: random.below(2), rule, for_good: random.once_in(2) });
    }
    for rule in rules(random) {
        faults.push(Fault::Clients { server: random.below(2), rule });
    }
    random.shuffle(&mut faults);
    steps(random, faults, pace)
}

/// Servers are killed twenty times and PostgreSQL is stopped ten times.
pub fn kills(random: &mut Random, pace: Pace) -> Vec<Step> {
    let mut faults: Vec<Fault> = (0..20).map(|nth| Fault::KillServer { server: nth % 2 }).collect();
    faults.extend([Fault::StopPostgres; 10]);
    random.shuffle(&mut faults);
    steps(random, faults, pace)
}

fn steps(random: &mut Random, faults: Vec<Fault>, pace: Pace) -> Vec<Step> {
    let mut step = |fault| {
        let (lasts, rests) = (milliseconds(random, pace.lasts_ms), milliseconds(random, pace.rests_ms));
        Step { fault, lasts, rests }
    };
    faults.into_iter().map(&mut step).collect()
}
