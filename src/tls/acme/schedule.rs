//! Times of renewals, and waits after failures. Pure.

use std::time::Duration;

use super::failure::AcmeOutcome;
use crate::tls::certificate::Validity;

/// Window in which the authority suggests to renew (RFC 9773 section 4.2), in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// Returns the time of the renewal: a point of the authority's window, else two thirds of this
/// certificate's own life. `draw` is a random number.
///
/// A window without length or after the certificate's end is ignored. A late one is cut off at five
/// sixths of the life, so that failed attempts can be repeated.
pub(super) fn renew_at(life: Validity, window: Option<Window>, draw: u64) -> u64 {
    let Validity { not_before, not_after } = life;
    let length = not_after.saturating_sub(not_before);
    let latest = not_before + length / 6 * 5;
    match window.filter(|window| window.start <= window.end && window.start < not_after) {
        Some(Window { start, end }) => (start + draw % (end - start + 1)).min(latest),
        // Certificates that were issued together are not renewed together.
        None => not_before + length * 2 / 3 + draw % (length / 50 + 1),
    }
}

/// Bounds of the time between two requests for the window. RFC 9773 section 4.3.2 lets clients
/// limit the authority's wish.
const ASK_BETWEEN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 3_600));

/// Returns the time until the next request for the window. The authority's wish counts within
/// bounds.
pub(super) fn ask_again(wish: Option<Duration>) -> Duration {
    wish.unwrap_or(Duration::from_secs(6 * 3_600)).clamp(ASK_BETWEEN.0, ASK_BETWEEN.1)
}

/// Longest wait that an authority can impose. Let's Encrypt counts its limits by the week.
const LONGEST_IMPOSED: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Returns the wait after a number of consecutive failures, of which the last had this outcome.
///
/// It triples up to a bound. It varies by a quarter either way, so that servers do not return at
/// once to an authority that was down. `imposed` is the authority's Retry-After.
pub(super) fn wait_after(
    failures: u32,
    outcome: AcmeOutcome,
    imposed: Option<Duration>,
    draw: u64,
) -> Duration {
    // A refusal counts towards the authority's limits: Let's Encrypt allows five an hour for each
    // name. A failed connection costs nothing.
    let (first, longest) = match outcome {
        AcmeOutcome::Unreachable => (10, 3_600),
        AcmeOutcome::State => (60, 3_600),
        _ => (60, 6 * 3_600),
    };
    let factor = 3u64.saturating_pow(failures.saturating_sub(1));
    let seconds = factor.saturating_mul(first).min(longest);
    let spread = seconds / 2;
    let own = Duration::from_secs(seconds - spread / 2 + draw % (spread + 1));
    imposed.map_or(own, |imposed| own.max(imposed.min(LONGEST_IMPOSED)))
}

/// Whether a certificate is in the first half of its life, in which only an authority's window
/// makes its renewal due.
pub(super) fn is_early(life: Validity, now: u64) -> bool {
    let Validity { not_before, not_after } = life;
    now < not_before + not_after.saturating_sub(not_before) / 2
}

/// Returns the wait after a number of consecutive early renewals. The first costs no wait, because
/// a revocation makes it due.
pub(super) fn wait_after_early(renewals: u32, draw: u64) -> Duration {
    match renewals {
        0 => Duration::ZERO,
        renewals => wait_after(renewals, AcmeOutcome::Refused, None, draw),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3_600;

    fn life(days: u64) -> Validity {
        Validity { not_before: 1_000 * DAY, not_after: (1_000 + days) * DAY }
    }

    #[test]
    fn without_a_window_two_thirds_of_its_own_life_count() {
        for days in [6, 45, 90, 5 * 365] {
            let two_thirds = 1_000 * DAY + days * DAY * 2 / 3;
            assert_eq!(renew_at(life(days), None, 0), two_thirds);
            for draw in [1, DAY, u64::MAX] {
                let at = renew_at(life(days), None, draw);
                assert!(at >= two_thirds && at <= two_thirds + days * DAY / 50, "{days} {draw}");
            }
        }
    }

    #[test]
    fn the_window_of_the_authority_counts_within_the_life() {
        let window =
            |start: u64, end: u64| Some(Window { start: (1_000 + start) * DAY, end: (1_000 + end) * DAY });
        let at = |window, draw| renew_at(life(90), window, draw);
        assert_eq!(at(window(55, 57), 0), 1_055 * DAY);
        assert_eq!(at(window(55, 57), 2 * DAY), 1_057 * DAY);
        assert_eq!(
            at(window(55, 57), u64::MAX).clamp(1_055 * DAY, 1_057 * DAY),
            at(window(55, 57), u64::MAX)
        );
        // Revoked: the window has passed, and the renewal is due at once.
        assert!(at(window(1, 2), u64::MAX) < 1_003 * DAY);
        // A late window leaves time for a second attempt.
        assert_eq!(at(window(80, 89), 8 * DAY), 1_075 * DAY);
        // Windows that make no sense.
        for odd in [window(57, 55), window(90, 95)] {
            assert_eq!(at(odd, 0), 1_060 * DAY);
        }
        assert_eq!(at(Some(Window { start: 0, end: u64::MAX - 1 }), 5), 5);
    }

    #[test]
    fn waits_grow_up_to_a_bound_and_spread() {
        let seconds = |failures, outcome, draw| wait_after(failures, outcome, None, draw).as_secs();
        assert_eq!(seconds(1, AcmeOutcome::Refused, 0), 45);
        assert_eq!(seconds(1, AcmeOutcome::Refused, 30), 75);
        assert_eq!(seconds(2, AcmeOutcome::Refused, 0), 135);
        assert_eq!(seconds(1, AcmeOutcome::Unreachable, 0), 8);
        for failures in [20, 33, 64, u32::MAX] {
            assert_eq!(seconds(failures, AcmeOutcome::Refused, 0), 6 * 3_600 * 3 / 4);
            assert_eq!(seconds(failures, AcmeOutcome::Unreachable, 1_800), 3_600 * 5 / 4);
        }
        for draw in [0, 17, u64::MAX] {
            assert!((45..=75).contains(&seconds(1, AcmeOutcome::Refused, draw)));
        }
    }

    /// Five refusals an hour, for a name, are the limit of Let's Encrypt.
    #[test]
    fn an_hour_sees_few_refusals() {
        let (mut at, mut attempts) = (0, 0);
        while at < 3_600 {
            attempts += 1;
            at += wait_after(attempts, AcmeOutcome::Refused, None, 0).as_secs();
        }
        assert_eq!(attempts, 5);
    }

    /// An authority whose windows are always past gets few orders.
    #[test]
    fn threat_32_early_renewals_are_spaced() {
        assert!(is_early(life(90), 1_044 * DAY) && !is_early(life(90), 1_046 * DAY));
        assert_eq!(wait_after_early(0, 0), Duration::ZERO);
        let in_a_day = (1..).scan(0, |at, renewals| {
            *at += wait_after_early(renewals, 0).as_secs();
            (*at < DAY).then_some(())
        });
        assert!(in_a_day.count() < 12);
    }

    #[test]
    fn retry_after_is_obeyed_within_a_week() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3_600));
        let wait = |imposed| wait_after(1, AcmeOutcome::RateLimited, imposed, 0);
        assert_eq!(Some(wait(hours(30))), hours(30));
        assert_eq!(Some(wait(hours(24 * 365))), hours(7 * 24));
        assert_eq!(wait(Some(Duration::ZERO)), Duration::from_secs(45));
        assert_eq!(Some(ask_again(None)), hours(6));
        assert_eq!(ask_again(Some(Duration::ZERO)), Duration::from_secs(60));
        assert_eq!(Some(ask_again(hours(1_000))), hours(24));
    }
}
