//! Zones that are always so many minutes from UTC, for callers who name the minutes and no place.

/// No place is farther from UTC, in minutes.
pub const FARTHEST: i16 = 840;

/// Places that have been so many minutes from UTC since 2020, winter and summer. Usage before 2020 is not kept. Every
/// whole hour has a zone of its own besides.
const BETWEEN_HOURS: [(i16, &str); 7] = [
    (-570, "Pacific/Marquesas"),
    (270, "Asia/Kabul"),
    (330, "Asia/Kolkata"),
    (345, "Asia/Kathmandu"),
    (390, "Asia/Yangon"),
    (525, "Australia/Eucla"),
    (570, "Australia/Darwin"),
];

/// The zone that is always so many minutes ahead of UTC, if there is one.
pub fn fixed_zone(minutes: i16) -> Option<String> {
    let hours = minutes / 60;
    match minutes {
        0 => Some("UTC".to_owned()),
        // In these names the sign is that of the hours behind UTC.
        _ if minutes % 60 == 0 && (-12..=14).contains(&hours) => Some(format!("Etc/GMT{:+}", -hours)),
        _ => BETWEEN_HOURS.iter().find(|(known, _)| *known == minutes).map(|(_, zone)| (*zone).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
    use chrono_tz::Tz;

    use super::*;

    #[test]
    fn a_fixed_zone_is_so_many_minutes_from_utc_on_every_day_from_2020_on() {
        let first: DateTime<Utc> = "2020-01-01T00:00:00Z".parse().unwrap();
        let mut found = 0;
        for minutes in -FARTHEST..=FARTHEST {
            let Some(name) = fixed_zone(minutes) else { continue };
            let zone: Tz = name.parse().unwrap();
            found += 1;
            for days in 0..365 * 15 {
                let at = (first + TimeDelta::days(days)).naive_utc();
                let offset = zone.offset_from_utc_datetime(&at).fix().local_minus_utc();
                assert_eq!(offset, i32::from(minutes) * 60, "{name} at {at}");
            }
        }
        assert_eq!(found, 27 + BETWEEN_HOURS.len());
    }

    #[test]
    fn minutes_that_no_place_keeps_all_year_have_no_zone() {
        for minutes in [-840, -780, -210, 1, 210, 630, 765, 825] {
            assert_eq!(fixed_zone(minutes), None, "{minutes}");
        }
        assert_eq!(fixed_zone(60).as_deref(), Some("Etc/GMT-1"));
        assert_eq!(fixed_zone(-300).as_deref(), Some("Etc/GMT+5"));
    }
}
