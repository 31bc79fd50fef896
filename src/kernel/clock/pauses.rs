//! How long to wait before something that failed is tried again.

use std::time::Duration;

/// Between half of a pause and all of it, so that what failed together does not come back together.
pub fn jittered(pause: Duration) -> Duration {
    let share = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    pause.mul_f64(0.5 + share / 2.0)
}

/// `first` doubled `times` times, but no more than `longest`.
pub fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = |times| doubled(Duration::from_millis(100), times, Duration::from_secs(30)).as_millis();
        assert_eq!(
            [0, 1, 2, 8, 9, 31, 32, u32::MAX].map(pauses),
            [100, 200, 400, 25_600, 30_000, 30_000, 30_000, 30_000]
        );
    }

    #[test]
    fn jitter_keeps_at_least_half_of_a_pause_and_never_lengthens_it() {
        assert_eq!(jittered(Duration::ZERO), Duration::ZERO);
        let whole = Duration::from_secs(1);
        for _ in 0..1_000 {
            let pause = jittered(whole);
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?}");
        }
    }
}
