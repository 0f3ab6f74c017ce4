//! Time as text: RFC 3339, UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, with nanoseconds, trailing zeros trimmed as Go's `RFC3339Nano` does.
pub fn now_nanos() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut text = render(since.as_secs());
    text.pop();
    let nanos = format!("{:09}", since.subsec_nanos());
    let nanos = nanos.trim_end_matches('0');
    if !nanos.is_empty() {
        text.push('.');
        text.push_str(nanos);
    }
    text.push('Z');
    text
}

/// Now, in whole seconds.
pub fn now() -> String {
    render(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// Seconds since 1970 as `2006-01-02T15:04:05Z`. Days to civil date after Howard Hinnant's `civil_from_days`.
fn render(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468; // from 0000-03-01
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_render_known_instants_are_right() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(render(seconds), text);
        }
    }

    #[test]
    fn test_now_nanos_ends_without_zeros() {
        let text = now_nanos();
        assert!(text.ends_with('Z') && !text.ends_with("0Z") || !text.contains('.'), "{text}");
    }
}
