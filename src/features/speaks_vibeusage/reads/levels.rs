//! How dark the cell of a day is, by the quantiles of the days that have usage.
//!
//! The rule is that of vibeusage's server. Of n days with usage in ascending order, counted from 0, the threshold of a
//! quantile q is the value of day ⌊(n − 1)·q⌋: for 0.5, 0.75 and 0.9. A day without usage has level 0; others have 1 more
//! than the number of thresholds that they exceed.

/// The thresholds of some days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thresholds([u128; 3]);

impl Thresholds {
    /// The quantiles, as numerator and denominator.
    const QUANTILES: [(usize, usize); 3] = [(1, 2), (3, 4), (9, 10)];

    /// Of the days whose tokens these are. All are zero where none has usage.
    pub fn of(tokens: impl Iterator<Item = u128>) -> Self {
        let mut used: Vec<u128> = tokens.filter(|tokens| *tokens > 0).collect();
        used.sort_unstable();
        let last = used.len().saturating_sub(1);
        Self(Self::QUANTILES.map(|(part, of)| used.get(last * part / of).copied().unwrap_or_default()))
    }

    /// The thresholds, ascending.
    pub const fn values(self) -> [u128; 3] {
        self.0
    }

    /// The level of a day, 0 to 4.
    pub fn level(self, tokens: u128) -> u8 {
        let exceeded = self.0.iter().filter(|threshold| tokens > **threshold).count();
        if tokens == 0 { 0 } else { 1 + u8::try_from(exceeded).unwrap_or(3) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(tokens: &[u128]) -> [u128; 3] {
        Thresholds::of(tokens.iter().copied()).values()
    }

    #[test]
    fn thresholds_are_values_of_days_at_the_lower_rank() {
        assert_eq!(values(&[]), [0, 0, 0]);
        assert_eq!(values(&[0, 0, 7]), [7, 7, 7]);
        assert_eq!(values(&[2, 1]), [1, 1, 1]);
        assert_eq!(values(&[40, 10, 0, 30, 20]), [20, 30, 30]);
        assert_eq!(values(&(1..=11).collect::<Vec<_>>()), [6, 8, 10]);
        assert_eq!(values(&(1..=10).collect::<Vec<_>>()), [5, 7, 9]);
    }

    #[test]
    fn a_day_on_a_threshold_is_not_above_it() {
        let thresholds = Thresholds::of(1..=11);
        let levels: Vec<_> = [0, 1, 6, 7, 8, 9, 10, 11].map(|tokens| thresholds.level(tokens)).into();
        assert_eq!(levels, [0, 1, 1, 2, 2, 3, 3, 4]);
        assert_eq!(Thresholds::default().level(0), 0);
    }

    proptest! {
        #[test]
        fn levels_rise_with_tokens_and_the_day_with_least_usage_has_level_one(
            tokens in prop::collection::vec(0..=u128::from(u64::MAX), 1..400),
        ) {
            let thresholds = Thresholds::of(tokens.iter().copied());
            let mut sorted = tokens.clone();
            sorted.sort_unstable();
            let levels: Vec<u8> = sorted.iter().map(|tokens| thresholds.level(*tokens)).collect();
            prop_assert!(levels.is_sorted() && levels.iter().all(|level| *level <= 4));
            for (tokens, level) in sorted.iter().zip(&levels) {
                prop_assert_eq!(*tokens == 0, *level == 0);
            }
            prop_assert!(sorted.iter().find(|tokens| **tokens > 0).is_none_or(|least| thresholds.level(*least) == 1));
        }
    }
}
