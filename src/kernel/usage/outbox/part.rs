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

/// Some of the parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartSet(u64);

impl PartSet {
    /// All of them.
    pub const ALL: Self = Self(u64::MAX);

    /// What one of several relays of a process looks after, by its number from 0 on: every part is looked after by one.
    pub fn share(number: usize, relays: usize) -> Self {
        UserPart::all().filter(|part| part.index() % relays.max(1) == number).collect()
    }

    /// Whether a part is among them.
    pub const fn has(self, part: UserPart) -> bool {
        (self.0 >> part.0) & 1 == 1
    }

    /// Whether a part is among these and among those.
    pub const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// One bit for each part, as other processes are told.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Those whose bits are set.
    pub const fn of_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl FromIterator<UserPart> for PartSet {
    fn from_iter<I: IntoIterator<Item = UserPart>>(parts: I) -> Self {
        Self(parts.into_iter().fold(0, |bits, part| bits | (1 << part.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_of_a_process_share_all_parts_out_and_none_is_looked_after_twice() {
        for relays in 1..=32 {
            let shares: Vec<_> = (0..relays).map(|number| PartSet::share(number, relays)).collect();
            for part in UserPart::all() {
                assert_eq!(shares.iter().filter(|share| share.has(part)).count(), 1, "{relays} relays");
            }
        }
        assert_eq!(PartSet::share(0, 1), PartSet::ALL);
    }

    #[test]
    fn sets_meet_where_a_part_is_in_both() {
        let of = |parts: &[u8]| parts.iter().copied().map(UserPart).collect::<PartSet>();
        assert!(of(&[0, 63]).meets(of(&[5, 63])) && !of(&[0, 63]).meets(of(&[5, 62])));
        assert!(!PartSet::default().meets(PartSet::ALL));
        assert_eq!(PartSet::of_bits(of(&[0, 5, 63]).bits()), of(&[0, 5, 63]));
    }
}
