//! Usage, as it is written: buckets, the events that announce their changes, erasures and horizons.
//! Trackers' posts come through the intake, whatever protocol carries them. Records that are added to buckets come the
//! same way, and the ledger remembers them.

pub mod erasure;
pub mod horizon;
pub mod intake;
pub mod ledger;
pub mod outbox;
pub mod record;
pub mod relay_notifier;
pub mod snapshot;
pub mod sources;
pub mod writer;
