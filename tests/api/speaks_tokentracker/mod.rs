//! TokenTracker, as it calls: reports, pairing, device tokens, and what it tells its maker.

mod reports;
