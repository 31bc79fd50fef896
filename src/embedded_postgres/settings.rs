//! What every cluster is made with: its user, its database, its connections, and what a crash may cost.

/// How many connections the cluster admits.
pub const MAX_CONNECTIONS: u32 = 60;

/// The cluster's only user.
pub(super) const SUPERUSER: &str = "halfhour";
/// The name of the database in it.
pub(super) const DATABASE: &str = "halfhour";

/// What a crash may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: what was committed is on disk.
    Durable,
    /// For tests only: `fsync`, `synchronous_commit` and `full_page_writes` are off. A crash of the
    /// machine may cost the whole cluster, one of the server the commits of its last second.
    Disposable,
}
