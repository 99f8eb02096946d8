//! Clock: this machine's against the dates of other servers.

use super::Finding;
use crate::fault::Fault;

/// Difference that a `Date` of whole seconds and a slow answer explain.
const NOISE: u64 = 5;

/// Difference at which calls fail: the server takes a join token that begins up to 30 s ahead.
const HARMFUL: u64 = 30;

/// Date of another server, and this machine's time when it arrived, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Name of the other server.
    pub from: String,
    /// Time of this machine.
    pub own: u64,
    /// Time of the other server.
    pub other: u64,
}

/// Judges the dates of other servers. If they contradict each other, those that agree with this
/// machine count.
pub fn judge(readings: &[Reading]) -> Finding {
    let Some(worst) = readings.iter().max_by_key(|reading| reading.own.abs_diff(reading.other)) else {
        return Finding::skipped("clock", "no date of another server was seen")
            .with_remedy("compare it with one: byway doctor --clock https://HOST/");
    };
    let off = |reading: &Reading| reading.own.abs_diff(reading.other);
    let said = |reading: &Reading| {
        let direction = if reading.own < reading.other { "behind" } else { "ahead of" };
        format!("{} {direction} {}", duration(off(reading)), reading.from)
    };
    if off(worst) <= NOISE {
        let all: Vec<_> = readings.iter().map(|reading| reading.from.as_str()).collect();
        return Finding::ok("clock", format!("agrees with {}", all.join(", ")));
    }
    if let Some(agreeing) = readings.iter().find(|reading| off(reading) <= NOISE) {
        return Finding::warning(
            Fault::ClockOff,
            format!("the clock of {} is wrong", worst.from),
            format!("this machine is {}, and agrees with {}", said(worst), agreeing.from),
            "set the clock of that machine: timedatectl set-ntp true",
        );
    }
    let (what, remedy) = ("this machine's clock is wrong", "set it: timedatectl set-ntp true");
    match off(worst) > HARMFUL {
        true => Finding::failed(Fault::ClockOff, what, said(worst), remedy),
        false => Finding::warning(Fault::ClockOff, what, said(worst), remedy),
    }
}

/// Judges the clock of the running server's process against that of this command: they differ only
/// where one of them has a clock of its own, as in some containers.
#[must_use]
pub fn of_process(reading: &Reading) -> Option<Finding> {
    (reading.own.abs_diff(reading.other) > NOISE).then(|| {
        Finding::failed(
            Fault::ClockOff,
            "the running server has another clock than this machine",
            format!("{} apart", duration(reading.own.abs_diff(reading.other))),
            "set the clock (timedatectl set-ntp true), find out what changes that of the process, and restart it: systemctl restart byway",
        )
    })
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn reading(from: &str, own: u64, other: u64) -> Reading {
        Reading { from: from.to_owned(), own, other }
    }

    #[test]
    fn a_clock_that_is_off_is_named_with_its_direction() {
        assert_eq!(judge(&[reading("a", 1000, 1003)]), Finding::ok("clock", "agrees with a"));
        assert_eq!(
            judge(&[reading("a", 1000, 8200)]).hint(),
            "this machine's clock is wrong: 2 h behind a; set it: timedatectl set-ntp true"
        );
        assert_eq!(judge(&[reading("a", 1100, 1000)]).evidence, "100 s ahead of a");
        assert_eq!(judge(&[reading("a", 1000, 1010)]).state, State::Warning);
        assert_eq!(judge(&[]).state, State::Skipped);
    }

    #[test]
    fn one_server_with_a_wrong_clock_does_not_outweigh_another() {
        let found = judge(&[reading("a", 1000, 1000), reading("b", 1000, 0)]);
        assert_eq!((found.state, found.what.as_str()), (State::Warning, "the clock of b is wrong"));
    }

    #[test]
    fn threat_56_dates_at_the_ends_of_time_are_no_panic() {
        for (own, other) in [(0, u64::MAX), (u64::MAX, 0)] {
            assert_eq!(judge(&[reading("a", own, other)]).state, State::Failed);
            assert!(of_process(&reading("a", own, other)).is_some());
        }
    }
}
