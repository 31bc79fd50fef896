//! The parts in which events stand, by the id of their user. All events of a user are in one part, so that who folds one part
//! meets nobody who folds another one.

use uuid::Uuid;

/// How many parts there are: as many as `usage.outbox.part` has values. Fixed for good, because a process that counts other
/// parts would fold a user beside one that does not.
pub const PARTS: u8 = 64;

/// One part of all users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserPart(u8);

impl UserPart {
    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTS).map(Self)
    }

    /// That of a user: the last six bits of the id, which are random.
    pub const fn of(user_id: Uuid) -> Self {
        Self(user_id.as_bytes()[15] % PARTS)
    }

    /// As stored, from 0 on.
    pub fn number(self) -> i16 {
        self.0.into()
    }

    /// Its place in a list of all of them.
    pub fn index(self) -> usize {
        self.0.into()
    }
}
