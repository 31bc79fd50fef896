//! `Idempotency-Key`: a request that is repeated under its key gets its first answer. The record is written in the
//! transaction that executes the request; an advisory lock keeps two from executing at once.
//!
//! Posts come through the writer, many in one transaction, and are recorded as verdicts ([`claim_keys`], [`record_posts`]).
//! Every other act has a transaction of its own, and a [`Once`] in it: it claims, does, and commits with the [`Answer`].
//! A secret in an answer is not stored. It is derived from the server's key and a [`Seed`], so that a repetition gets the
//! same one.

mod answer;
mod key;
mod once;
mod records;

pub use answer::Answer;
pub use key::{
    IDEMPOTENCY_REPLAYED, IdempotencyKey, KeyScope, MAX_KEY, PREFER, RequestKey, digest, header_lines, key_in_progress,
    key_reused, key_text, refuse_key,
};
pub use once::{Once, Seed, Unexecuted};
pub use records::{Claim, NewRecord, Record, claim_keys, purge, record_posts};
