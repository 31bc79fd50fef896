//! Days as heatmaps show them: in weeks, and how many of them in a row have usage.

/// Days by week, seven each, of which the first begins a week. What is behind the last day is `None`.
pub fn in_weeks<T>(days: Vec<T>) -> Vec<Vec<Option<T>>> {
    let mut weeks = Vec::with_capacity(days.len().div_ceil(7));
    let mut days = days.into_iter().peekable();
    while days.peek().is_some() {
        weeks.push((0..7).map(|_| days.next()).collect());
    }
    weeks
}

/// How many days in a row have usage, up to the last one.
pub fn days_in_a_row(tokens: impl DoubleEndedIterator<Item = u128>) -> usize {
    tokens.rev().take_while(|tokens| *tokens > 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_has_seven_days_whatever_there_is_of_the_last_one() {
        let weeks = in_weeks((1..=9).collect());
        assert_eq!(weeks[0], (1..=7).map(Some).collect::<Vec<_>>());
        assert_eq!(weeks[1], [Some(8), Some(9), None, None, None, None, None]);
        assert_eq!(in_weeks(vec![(); 14]).len(), 2);
        assert!(in_weeks::<()>(Vec::new()).is_empty());
    }

    #[test]
    fn a_row_of_days_ends_with_the_last_day() {
        let row = |tokens: &[u128]| days_in_a_row(tokens.iter().copied());
        assert_eq!((row(&[1, 0, 2, 3]), row(&[1, 2, 0]), row(&[]), row(&[4])), (2, 0, 0, 1));
    }
}
