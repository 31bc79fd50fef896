//! The geometry of stacked bars, in whole units of a drawing.

/// How high a drawing is.
pub const HEIGHT: u32 = 200;
/// How wide the place of a bar is.
pub const PLACE: u32 = 12;

/// A part of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarPart {
    /// Its upper edge.
    pub y: u32,
    /// How high it is.
    pub height: u32,
}

/// How high so much is, where `most` is as high as the drawing.
fn height(value: u128, most: u128) -> u32 {
    let full = u128::from(HEIGHT);
    let scaled = match value.checked_mul(full) {
        _ if most == 0 => 0,
        Some(product) => product / most,
        None => value / (most / full).max(1),
    };
    u32::try_from(scaled.min(full)).unwrap_or(HEIGHT)
}

/// The parts of a bar, from the ground up. Together they are as high as their sum. Whatever is not nothing is seen: a bar is
/// at least one unit high.
pub fn bar_parts(values: &[u128], most: u128) -> Vec<BarPart> {
    let total = values.iter().fold(0, |all: u128, value| all.saturating_add(*value));
    let whole = height(total, most).max(u32::from(total > 0));
    let mut below = 0_u128;
    let mut ground = 0_u32;
    let parts = values.iter().map(|value| {
        below = below.saturating_add(*value);
        let edge = if below == total { whole } else { height(below, most).min(whole) };
        let part = BarPart { y: HEIGHT - edge, height: edge - ground };
        ground = edge;
        part
    });
    parts.collect()
}

/// A number at or above `most` that one reads easily: 1, 2 or 5 and zeros.
pub fn round_above(most: u128) -> u128 {
    let mut power = 1_u128;
    loop {
        for digit in [1, 2, 5] {
            match power.checked_mul(digit) {
                Some(round) if round >= most => return round,
                Some(_) => {}
                None => return most,
            }
        }
        match power.checked_mul(10) {
            Some(next) => power = next,
            None => return most,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heights(values: &[u128], most: u128) -> Vec<u32> {
        bar_parts(values, most).iter().map(|part| part.height).collect()
    }

    #[test]
    fn parts_stand_on_each_other_and_end_where_their_sum_ends() {
        assert_eq!(heights(&[50, 25, 25], 100), [100, 50, 50]);
        assert_eq!(bar_parts(&[50, 25], 100)[1], BarPart { y: 50, height: 50 });
        assert_eq!(heights(&[1, 1, 1], 3), [66, 67, 67]);
        assert_eq!(heights(&[0, 0], 100), [0, 0]);
        assert_eq!(heights(&[], 100), [] as [u32; 0]);
        assert_eq!(heights(&[1], 1_000_000), [1], "what is there is seen");
        assert_eq!(heights(&[5], 0), [1]);
    }

    #[test]
    fn axes_end_at_numbers_that_one_reads_easily() {
        for (most, round) in [(0, 1), (1, 1), (2, 2), (3, 5), (6, 10), (11, 20), (1_000_001, 2_000_000)] {
            assert_eq!(round_above(most), round);
        }
        assert_eq!(round_above(u128::MAX), u128::MAX);
    }

    proptest! {
        #[test]
        fn whatever_the_numbers_nothing_leaves_the_drawing(values in prop::collection::vec(any::<u128>(), 0..9), most: u128) {
            let parts = bar_parts(&values, most);
            let sum: u32 = parts.iter().map(|part| part.height).sum();
            prop_assert!(sum <= HEIGHT);
            let mut ground = HEIGHT;
            for part in &parts {
                prop_assert_eq!(part.y + part.height, ground);
                ground = part.y;
            }
        }

        #[test]
        fn more_is_never_lower(values in prop::collection::vec(0..10_u128.pow(15), 1..9), more in 0..10_u128.pow(15)) {
            let most = 10_u128.pow(17);
            let sum = |values: &[u128]| heights(values, most).iter().sum::<u32>();
            let mut grown = values.clone();
            grown[0] += more;
            prop_assert!(sum(&grown) >= sum(&values));
        }
    }
}
