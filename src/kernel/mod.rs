//! The rules that slices share, in rooms on floors.
//!
//! A room may use the rooms below it and nothing beside or above it. `tests/architecture` keeps that.
//!
//! | floor | room | answers |
//! |---|---|---|
//! | 7 | `dialect` | what the protocols of other products' trackers have in common |
//! | 7 | `dashboards` | what dashboards of other products ask alike, and the door to sums |
//! | 6 | `usage` | how usage is written: the writer, events, erasures, horizons |
//! | 6 | `http` | what a request is made of: bodies, queries, values, pages, cursors, the outermost layer |
//! | 5 | `operations` | what operators switch off, and what is written down of who did what |
//! | 5 | `idempotency` | what a request that is repeated under its key is answered |
//! | 4 | `access` | who is calling, and how often they may |
//! | 3 | `database` | pools that start without rights, transactions that name a role and its users |
//! | 2 | `call` | what a request or a worker step carries with it, its span, its log line and its thread |
//! | 1 | `bucket` | the vocabulary: half hours, counts, sources, models |
//! | 1 | `clock` | time, passed in |
//! | 1 | `money` | prices and amounts as whole numbers |
//! | 1 | `problem` | every error, from every layer, as problem+json |
//!
//! Two rules of admission. A rule moves in here when two slices need the same **rule**, not when their code looks alike;
//! or when it writes the schema `usage`, which is the kernel's alone. The kernel imports no slice and never the
//! composition root.

pub mod access;
pub mod bucket;
pub mod call;
pub mod clock;
pub mod dashboards;
pub mod database;
pub mod dialect;
pub mod http;
pub mod idempotency;
pub mod money;
pub mod operations;
pub mod problem;
pub mod usage;
