//! Date formats of the conventions. Pure.
//!
//! The formats have four digits for the year. If a wrong clock is beyond that, the last second of
//! 9999 is written.

/// The last second of the year 9999, which is also the latest expiry of a certificate.
pub const LATEST: u64 = 253_402_300_799;

/// Formats seconds since 1970-01-01 UTC by RFC 3339 section 5.6, for instance
/// `2023-11-14T22:23:20Z`.
#[must_use]
pub fn rfc3339(unix: u64) -> String {
    let Date { year, month, day, hour, minute, second, .. } = Date::of(unix);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Formats seconds since 1970 by RFC 2822 section 3.3, for instance
/// `Tue, 14 Nov 2023 22:23:20 +0000`.
#[must_use]
pub fn rfc2822(unix: u64) -> String {
    format!("{} +0000", Date::of(unix).in_words())
}

/// Formats seconds since 1970 for HTTP (IMF-fixdate of RFC 9110 section 5.6.7), for instance
/// `Tue, 14 Nov 2023 22:23:20 GMT`. Returns `None` after 9999: a server without a reasonable clock
/// sends no `Date` (RFC 9110 section 6.6.1).
#[must_use]
pub fn imf_fixdate(unix: u64) -> Option<String> {
    (unix <= LATEST).then(|| format!("{} GMT", Date::of(unix).in_words()))
}

struct Date {
    /// Days since Sunday.
    weekday: u64,
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Date {
    /// Date and time without their zone.
    fn in_words(&self) -> String {
        const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let Self { weekday, year, month, day, hour, minute, second } = self;
        let named = |names: &[&'static str], at: u64| {
            usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default()
        };
        let (weekday, month) = (named(&WEEKDAYS, *weekday), named(&MONTHS, month - 1));
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02}")
    }

    fn of(unix: u64) -> Self {
        let unix = unix.min(LATEST);
        let (days, second) = (unix / 86_400, unix % 86_400);
        // Converts days to a date in the proleptic Gregorian calendar. Years begin in March, so the
        // leap day is the last of its year. (Howard Hinnant, "chrono-Compatible Low-Level Date
        // Algorithms", civil_from_days.)
        let shifted = days + 719_468; // days from 0000-03-01 to 1970-01-01
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            // 1970-01-01 was a Thursday.
            weekday: (days + 4) % 7,
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: second / 3_600,
            minute: second / 60 % 60,
            second: second % 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_the_odd_days() {
        // date -u -d @N +%FT%TZ; date -u -R -d @N
        for (unix, date, mail) in [
            (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_782_399, "2000-02-28T23:59:59Z", "Mon, 28 Feb 2000 23:59:59 +0000"),
            (951_782_400, "2000-02-29T00:00:00Z", "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_078_099_199, "2004-02-29T23:59:59Z", "Sun, 29 Feb 2004 23:59:59 +0000"),
            (1_078_099_200, "2004-03-01T00:00:00Z", "Mon, 01 Mar 2004 00:00:00 +0000"),
            (1_798_761_599, "2026-12-31T23:59:59Z", "Thu, 31 Dec 2026 23:59:59 +0000"),
            (4_107_542_400, "2100-03-01T00:00:00Z", "Mon, 01 Mar 2100 00:00:00 +0000"),
        ] {
            assert_eq!((rfc3339(unix).as_str(), rfc2822(unix).as_str()), (date, mail));
            assert_eq!(imf_fixdate(unix), Some(mail.replace("+0000", "GMT")));
        }
    }

    #[test]
    fn threat_43_no_year_is_beyond_9999() {
        let last = ("9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 +0000");
        for unix in [LATEST, LATEST + 1, 400_000_000_000, u64::MAX] {
            assert_eq!((rfc3339(unix).as_str(), rfc2822(unix).as_str()), last, "{unix}");
        }
        assert_eq!(imf_fixdate(LATEST).as_deref(), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
        assert_eq!([LATEST + 1, u64::MAX].map(imf_fixdate), [None, None]);
    }
}
