//! What one request or worker step carries with it, the span that may be recorded of it, and the one
//! log line that says how it ended.
//!
//! A [`RequestContext`] is made where a request or a step begins and is passed down to everything that is done for it.
//! The database's answers are noted in its [`Upstream`]. At the end a [`RequestLogLine`] is made of both. [`Threads`] are
//! what connections are served on.

mod observed;
mod request_context;
mod request_log_line;
mod span;
mod threads;
mod trace;
mod upstream;

pub use observed::Observed;
pub use request_context::RequestContext;
pub use request_log_line::{
    Attribution, CallOutcome, Place, PrincipalName, REQUEST, REQUEST_LOG, RequestLogLine, SLOW, attribute,
};
pub use span::{CallSpan, SpanPart, Tracer};
pub use threads::{PerThread, RunningThreads, Threads};
pub use trace::Trace;
pub use upstream::{Answers, Evidence, Upstream};
