//! When each token was last used. Requests only note it in memory, and a worker writes it down now
//! and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::kernel::clock::Clock;

/// Tokens remembered between two writings; what is used beyond that is written down the next time it is used.
const CAPACITY: usize = 50_000;

/// Clones share what they remember.
#[derive(Clone, Debug)]
pub struct TokenUses {
    clock: Clock,
    uses: Arc<Mutex<HashMap<Uuid, DateTime<Utc>>>>,
}

impl TokenUses {
    /// Nothing yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, uses: Arc::default() }
    }

    /// This token is used now.
    pub fn note(&self, token_id: Uuid) {
        self.note_at([(token_id, self.clock.now())]);
    }

    /// Everything noted so far, which is forgotten here.
    pub fn take(&self) -> Vec<(Uuid, DateTime<Utc>)> {
        std::mem::take(&mut *self.uses.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }

    /// It could not be written down: remembers it again, where nothing newer is known.
    pub fn give_back(&self, uses: Vec<(Uuid, DateTime<Utc>)>) {
        self.note_at(uses);
    }

    fn note_at(&self, more: impl IntoIterator<Item = (Uuid, DateTime<Utc>)>) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        for (token_id, used_at) in more {
            if uses.len() < CAPACITY || uses.contains_key(&token_id) {
                let known = uses.entry(token_id).or_insert(used_at);
                *known = used_at.max(*known);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_secs(seconds).unwrap()
    }

    #[test]
    fn the_last_use_counts_and_is_taken_once() {
        let clock = Clock::fixed(at(1));
        let uses = TokenUses::new(clock.clone());
        uses.note(Uuid::nil());
        clock.set(at(2));
        uses.clone().note(Uuid::nil());
        assert_eq!(uses.take(), [(Uuid::nil(), at(2))]);
        assert_eq!(uses.take(), []);
    }

    #[test]
    fn what_is_given_back_does_not_hide_what_is_newer() {
        let uses = TokenUses::new(Clock::fixed(at(5)));
        uses.note(Uuid::nil());
        uses.give_back(vec![(Uuid::nil(), at(3)), (Uuid::max(), at(4))]);
        let mut taken = uses.take();
        taken.sort_unstable();
        assert_eq!(taken, [(Uuid::nil(), at(5)), (Uuid::max(), at(4))]);
    }

    #[test]
    fn memory_is_bounded_however_many_tokens_are_used() {
        let uses = TokenUses::new(Clock::fixed(at(1)));
        uses.give_back((0..CAPACITY as u128 + 10).map(|number| (Uuid::from_u128(number), at(1))).collect());
        uses.give_back(vec![(Uuid::nil(), at(9))]);
        let taken = uses.take();
        assert_eq!(taken.len(), CAPACITY);
        assert!(taken.contains(&(Uuid::nil(), at(9))), "a token that is remembered already is brought up to date");
    }
}
