//! Histogram of times with a resolution of one part in 64, in a few kilobytes for any number of
//! samples.

use std::time::Duration;

/// Buckets per power of two.
const FINE: usize = 64;
/// Number of powers of two: from 64 ns, below which every nanosecond has its own bucket, to over a
/// minute.
const POWERS: usize = 32;

/// Histogram of times.
#[derive(Clone)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { buckets: vec![0; FINE * POWERS], count: 0 }
    }

    pub(super) fn add(&mut self, time: Duration) {
        let nanoseconds = usize::try_from(time.as_nanos()).unwrap_or(usize::MAX);
        let last = self.buckets.len() - 1;
        self.buckets[place(nanoseconds).min(last)] += 1;
        self.count += 1;
    }

    /// Returns the time that a `share` of the samples, 0 to 1, does not exceed; `None` without
    /// samples.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "a rank among counts far below 2^52"
        )]
        let rank = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        bucket.map(|bucket| Duration::from_nanos(lowest(bucket) as u64))
    }
}

/// Returns the bucket of a time: its power of two, then its next six bits.
fn place(nanoseconds: usize) -> usize {
    let power = (nanoseconds / FINE).checked_ilog2().map_or(0, |power| power as usize + 1);
    match power {
        0 => nanoseconds,
        _ => power * FINE + (nanoseconds >> (power - 1)) - FINE,
    }
}

/// Returns the shortest time of a bucket.
fn lowest(bucket: usize) -> usize {
    match bucket / FINE {
        0 => bucket,
        power => (bucket % FINE + FINE) << (power - 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn microseconds(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn quantiles_of_a_thousand_steps() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        (1..=1000).for_each(|us| histogram.add(microseconds(us)));
        for (share, us) in [(0.0, 1), (0.5, 500), (0.99, 990), (0.999, 999), (1.0, 1000)] {
            let time = histogram.quantile(share).unwrap();
            assert!(time <= microseconds(us) && time >= microseconds(us) * 63 / 64, "{share}: {time:?}");
        }
    }

    #[test]
    fn what_is_beyond_all_measure_counts_as_the_longest() {
        let mut histogram = Histogram::new();
        histogram.add(Duration::MAX);
        assert!(histogram.quantile(1.0).unwrap() > Duration::from_secs(60));
    }

    proptest! {
        #[test]
        fn a_bucket_is_within_a_64th(nanoseconds in 0..1_usize << 36) {
            let low = lowest(place(nanoseconds));
            prop_assert!(low <= nanoseconds && nanoseconds - low <= nanoseconds / FINE);
            prop_assert_eq!(place(low), place(nanoseconds));
        }
    }
}
