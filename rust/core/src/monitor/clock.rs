//! Wall-clock time, UTC.

use std::fmt::Write;

const DAY_S: i64 = 86_400;

/// A moment of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Since the epoch.
    pub seconds: i64,
    /// Within the second.
    pub nanoseconds: u32,
}

impl Time {
    /// Now.
    pub fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Self { seconds: time.tv_sec, nanoseconds: u32::try_from(time.tv_nsec).unwrap_or(0) }
    }

    /// Nanoseconds since the epoch.
    pub fn as_nanoseconds(self) -> i64 {
        self.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(self.nanoseconds))
    }

    /// `2006-01-02T15:04:05.999999999Z`, trailing zeros off, as Go writes RFC3339Nano.
    pub fn rfc3339_nano(self) -> String {
        let mut text = self.rfc3339();
        if self.nanoseconds > 0 {
            text.pop();
            let _ = write!(text, ".{:09}", self.nanoseconds);
            text.truncate(text.trim_end_matches('0').len());
            text.push('Z');
        }
        text
    }

    /// `2006-01-02T15:04:05Z`.
    pub fn rfc3339(self) -> String {
        let (year, month, day, [hour, minute, second]) = self.parts();
        let mut text = String::with_capacity(32);
        let _ = write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        text
    }

    /// `Jan _2 15:04:05` (RFC 3164, "TIMESTAMP").
    pub fn rfc3164(self) -> String {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (_, month, day, [hour, minute, second]) = self.parts();
        let name = usize::try_from(month - 1).ok().and_then(|index| MONTHS.get(index)).unwrap_or(&"Jan");
        format!("{name} {day:2} {hour:02}:{minute:02}:{second:02}")
    }

    /// The moment of an RFC 3339 time with a zone (`Z` or `+hh:mm`), to the nanosecond; None if it is none.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let (date, clock) = text.split_once(['T', 't'])?;
        let mut date = date.split('-').map(number);
        let (year, month, day) = (date.next()??, date.next()??, date.next()??);
        let (clock, offset) = zone(clock)?;
        let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        let mut whole = whole.split(':').map(number);
        let (hour, minute, second) = (whole.next()??, whole.next()??, whole.next()??);
        let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
        if !fits {
            return None;
        }
        let digits = fraction.get(..fraction.len().min(9))?;
        let scale = 10u32.pow(9 - u32::try_from(digits.len()).ok()?);
        let nanoseconds = if digits.is_empty() { 0 } else { u32::try_from(number(digits)?).ok()? * scale };
        let seconds = days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second - offset;
        Some(Self { seconds, nanoseconds })
    }

    fn parts(self) -> (i64, i64, i64, [i64; 3]) {
        let (days, rest) = (self.seconds.div_euclid(DAY_S), self.seconds.rem_euclid(DAY_S));
        let (year, month, day) = civil(days);
        (year, month, day, [rest / 3600, rest / 60 % 60, rest % 60])
    }
}

fn number(digits: &str) -> Option<i64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// A clock without its zone, and the zone's offset from UTC in seconds.
fn zone(clock: &str) -> Option<(&str, i64)> {
    if let Some(clock) = clock.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let (start, sign) = clock.char_indices().rev().find(|(_, letter)| matches!(letter, '+' | '-'))?;
    let (hours, minutes) = clock[start + 1..].split_once(':')?;
    let seconds = number(hours)? * 3600 + number(minutes)? * 60;
    Some((&clock[..start], if sign == '+' { seconds } else { -seconds }))
}

/// The days from 1970-01-01 to a date; the reverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let shifted = year - i64::from(month <= 2);
    let (era, year_of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
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

    fn nano(seconds: i64, nanoseconds: u32) -> String {
        Time { seconds, nanoseconds }.rfc3339_nano()
    }

    #[test]
    fn test_rfc3339_nano_leap_years_and_the_epoch_are_known() {
        assert_eq!(nano(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(nano(951_782_400, 5), "2000-02-29T00:00:00.000000005Z");
        assert_eq!(nano(1_709_251_199, 999_999_999), "2024-02-29T23:59:59.999999999Z");
        assert_eq!(nano(4_107_542_399, 120_000_000), "2100-02-28T23:59:59.12Z");
        assert_eq!(nano(-1, 0), "1969-12-31T23:59:59Z");
        assert_eq!(nano(253_402_300_799, 1_000), "9999-12-31T23:59:59.000001Z");
    }

    #[test]
    fn test_civil_every_day_of_four_centuries_follows_the_one_before() {
        let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..146_097 {
            assert_eq!(civil(days), (year, month, day));
            assert_eq!(super::days(year, month, day), days);
            let length = match month {
                2 if leap(year) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn test_parse_rfc3339_is_the_reverse_and_knows_zones() {
        for time in [Time { seconds: 1_709_251_199, nanoseconds: 999_999_999 }, Time { seconds: 0, nanoseconds: 120 }] {
            assert_eq!(Time::parse_rfc3339(&time.rfc3339_nano()), Some(time));
        }
        let zoned = Time::parse_rfc3339("2024-03-01T01:29:59.5+01:30");
        assert_eq!(zoned, Some(Time { seconds: 1_709_251_199, nanoseconds: 500_000_000 }));
        for bad in [
            "",
            "2024-03-01",
            "2024-03-01T00:00:00",
            "2024-13-01T00:00:00Z",
            "2024-03-01T00:00:00.xZ",
            "T:Z",
            "2024-03-01T00:00:00.éééééZ",
        ] {
            assert_eq!(Time::parse_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn test_rfc3164_day_is_padded_with_a_blank() {
        assert_eq!(Time { seconds: 951_782_400 - 20 * DAY_S, nanoseconds: 0 }.rfc3164(), "Feb  9 00:00:00");
    }
}
