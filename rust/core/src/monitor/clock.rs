//! Wall-clock time as RFC 3339 with nanoseconds, UTC.

use std::fmt::Write;

const DAY_S: i64 = 86_400;

/// Now.
pub fn now() -> String {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    format(time.tv_sec, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Seconds and nanoseconds since the epoch as `2006-01-02T15:04:05.000000000Z`.
pub fn format(seconds: i64, nanoseconds: u32) -> String {
    let (days, rest) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
    let (year, month, day) = civil(days);
    let mut text = String::with_capacity(30);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let _ = write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}Z");
    text
}

/// Days since 1970-01-01 as a date of the proleptic Gregorian calendar: years begin in March, so that the leap day is last,
/// and come in eras of 400.
fn civil(days: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097;
    const MARCH_OF_YEAR_0: i64 = 719_468;
    let shifted = days + MARCH_OF_YEAR_0;
    let (era, day_of_era) = (shifted.div_euclid(ERA_DAYS), shifted.rem_euclid(ERA_DAYS));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_knows_leap_years_and_the_epoch() {
        assert_eq!(format(0, 0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(format(951_782_400, 5), "2000-02-29T00:00:00.000000005Z");
        assert_eq!(format(1_709_251_199, 999_999_999), "2024-02-29T23:59:59.999999999Z");
        assert_eq!(format(4_107_542_399, 0), "2100-02-28T23:59:59.000000000Z");
        assert_eq!(format(-1, 0), "1969-12-31T23:59:59.000000000Z");
    }
}
