//! What two or more features need the same *rule* for. It imports no feature and never the composition root.
//!
//! | file | rule |
//! |---|---|
//! | `bucket` | the vocabulary: half hours, counts, sources, models |
//! | `writer` | the only code that writes `usage.bucket`, and which version of a bucket wins |
//! | `outbox` | events: announced with the facts, consumed with their effect |
//! | `wakes` | who consumes events is woken, in every process |
//! | `horizon` | before it no bucket is taken, and none is kept |
//! | `call` | what a request or worker step carries: id, trace, deadline, what the database answered |
//! | `idempotency` | a repeated request gets its first answer |
//! | `db` | pools that start with no rights, transactions that open with a role and named users |
//! | `auth`, `token`, `token_cache`, `token_uses` | who is calling: typed principals behind opaque tokens |
//! | `problem`, `problem_code` | every error, from every layer, as problem+json |
//! | `request_line`, `m1` | the deadline of every request and the one line that says who failed |
//! | `erasure` | an owner's deletion, which no retry undoes |
//! | `extract` | request bodies and queries, refused as problems |
//! | `fields` | named values of bodies and queries: each once, none unknown, everything wrong said |
//! | `rules` | what single values must be like: reasons, days, instants, numbers, counts, zones, ids, tools, models |
//! | `limits`, `strangers`, `address` | how often a caller may call, and who that is |
//! | `schema` | a database fit to serve from: migrated, with roles that row-level security binds |
//! | `audit` | who did what, written down with the act |
//! | `switches` | what operators have switched off |
//! | `page`, `cursor` | pages of lists, and where a list goes on, signed |
//! | `clock` | time, passed in |
//! | `openapi` | the refusals that every route documents |

pub mod address;
pub mod audit;
pub mod auth;
pub mod bucket;
pub mod call;
pub mod clock;
pub mod cursor;
pub mod db;
pub mod erasure;
pub mod extract;
pub mod fields;
pub mod horizon;
pub mod idempotency;
pub mod limits;
pub mod m1;
pub mod openapi;
pub mod outbox;
pub mod page;
pub mod problem;
pub mod problem_code;
pub mod request_line;
pub mod rules;
pub mod schema;
pub mod strangers;
pub mod switches;
pub mod token;
pub mod token_cache;
pub mod token_uses;
pub mod wakes;
pub mod writer;
