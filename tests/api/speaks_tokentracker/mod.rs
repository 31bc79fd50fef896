//! What speaks as TokenTracker's local server does.

mod reads;
