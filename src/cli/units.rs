//! Amounts as people read them.

use std::time::Duration;

/// Returns bytes, such as "12.3 MB".
pub(super) fn bytes(bytes: u64) -> String {
    scaled(bytes, "B")
}

/// Returns a rate in bits per second, such as "1.2 Mbit/s".
pub(super) fn rate(bits_per_second: u64) -> String {
    scaled(bits_per_second, "bit/s")
}

/// Returns the bits per second of `bytes` within `time`, 0 without time.
pub(super) fn bits_per_second(bytes: u64, time: Duration) -> u64 {
    let bits = u128::from(bytes) * 8 * 1000;
    bits.checked_div(time.as_millis()).map_or(0, |rate| u64::try_from(rate).unwrap_or(u64::MAX))
}

/// Returns a time in its two largest units, such as "3d 4h" or "42s".
pub(super) fn time(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// Returns "1 room" or "2 rooms".
pub(super) fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

fn scaled(number: u64, unit: &str) -> String {
    if number < 1_000 {
        return format!("{number} {unit}");
    }
    let prefixes = ["k", "M", "G", "T", "P", "E"];
    let mut one = 1_000_u64;
    let mut prefix = 0;
    while number / one >= 1_000 {
        (one, prefix) = (one * 1_000, prefix + 1);
    }
    format!("{}.{} {}{unit}", number / one, number % one / (one / 10), prefixes[prefix])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short_whatever_their_size() {
        let of = |n| (bytes(n), rate(n));
        assert_eq!(of(0), ("0 B".into(), "0 bit/s".into()));
        assert_eq!(of(999), ("999 B".into(), "999 bit/s".into()));
        assert_eq!(of(1_000), ("1.0 kB".into(), "1.0 kbit/s".into()));
        assert_eq!(of(12_345_678), ("12.3 MB".into(), "12.3 Mbit/s".into()));
        assert_eq!(bytes(999_999), "999.9 kB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
        assert_eq!(bits_per_second(1_000, Duration::from_millis(500)), 16_000);
        assert_eq!(bits_per_second(1_000, Duration::ZERO), 0);
        assert_eq!(bits_per_second(u64::MAX, Duration::from_millis(1)), u64::MAX);
        for (seconds, text) in [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3_600, "1h 0m"), (90_000, "1d 1h")] {
            assert_eq!(time(seconds), text);
        }
        assert_eq!(time(u64::MAX), "213503982334601d 7h");
        assert_eq!([count(1, "room"), count(0, "room")], ["1 room", "0 rooms"]);
    }
}
