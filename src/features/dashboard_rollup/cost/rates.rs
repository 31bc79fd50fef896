//! The rates that this process has seen. A rate never changes, so that it is read once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::NaiveDate;

use super::amount::PricedSums;
use super::rate::Rate;
use super::store;
use crate::features::dashboard_rollup::sums::Counters;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// No rate: tokens without a price.
const NONE: i32 = 0;

/// Rates by their numbers. All books together have some thousands.
pub type KnownRates = Arc<HashMap<i32, Arc<Rate>>>;

/// The part of a sum that falls under one rate.
#[derive(Clone, Debug)]
pub struct RatedSums<K> {
    /// What was summed. All parts of one sum come together.
    pub key: K,
    /// The rate; 0 for none.
    pub rate_id: i32,
    /// The sums.
    pub sums: Counters,
}

/// Remembers rates. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Rates(Arc<RwLock<KnownRates>>, Arc<RwLock<HashMap<i32, NaiveDate>>>);

impl Rates {
    /// Of which day the prices of a book are. A book never changes, so that it is read once. Errors: the database's.
    pub async fn day_of(&self, tx: &mut Tx, book: i32) -> Result<NaiveDate, Problem> {
        let known = self.1.read().unwrap_or_else(PoisonError::into_inner).get(&book).copied();
        if let Some(day) = known {
            return Ok(day);
        }
        let day = store::book_day(tx, book).await?;
        self.1.write().unwrap_or_else(PoisonError::into_inner).insert(book, day);
        Ok(day)
    }

    /// Puts the parts of each sum together, with what they cost. Errors: those of [`Rates::among`].
    pub async fn price<K: PartialEq>(
        &self,
        tx: &mut Tx,
        parts: Vec<RatedSums<K>>,
    ) -> Result<Vec<(K, PricedSums)>, Problem> {
        let rates = self.among(tx, parts.iter().map(|part| part.rate_id)).await?;
        let mut sums: Vec<(K, PricedSums)> = Vec::with_capacity(parts.len());
        for RatedSums { key, rate_id, sums: part } in parts {
            let priced = PricedSums::at(part, rates.get(&rate_id).map(AsRef::as_ref));
            match sums.last_mut() {
                Some((last, sum)) if *last == key => *sum = *sum + priced,
                _ => sums.push((key, priced)),
            }
        }
        Ok(sums)
    }

    /// Rates among which are those with these numbers. Errors: the database's; 500 for a number that no rate has.
    pub async fn among(&self, tx: &mut Tx, rate_ids: impl Iterator<Item = i32>) -> Result<KnownRates, Problem> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut missing: Vec<i32> = rate_ids.filter(|id| *id != NONE && !known.contains_key(id)).collect();
        if missing.is_empty() {
            return Ok(known);
        }
        missing.sort_unstable();
        missing.dedup();
        let read = store::rates(tx, &missing).await?;
        if read.len() != missing.len() {
            return Err(Problem::internal(format!("of the rates {missing:?} only {} exist", read.len())));
        }
        let mut shared = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut shared).extend(read.into_iter().map(|(id, rate)| (id, Arc::new(rate))));
        Ok(shared.clone())
    }
}
