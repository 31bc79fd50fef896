//! What speaks as TokenTracker's server does: its tracker's calls, and those of its dashboard.

mod reads;
mod reports;
