//! Relay sockets that the system refuses, as a trouble for the log and `/healthz`.
//!
//! The machine's lack of an address is a trouble of its own, and another port replaces one that is
//! in use. What remains ends by itself only if the machine gets what it lacks.

use std::time::Duration;

use byway_turn::closed_set::ClosedSet;
use byway_turn::time::Now;

use crate::shard::BindFailure;

/// Time without a refusal after which the trouble is over.
const QUIET: Duration = Duration::from_secs(60);

/// Refusals so far, by reason.
#[derive(Debug, Default)]
pub(super) struct RelaySocketWatch {
    counted: <BindFailure as ClosedSet>::Table<u64>,
    /// Time of the last refusal of each current trouble.
    refused: <BindFailure as ClosedSet>::Table<Option<Duration>>,
}

impl RelaySocketWatch {
    /// Compares the counters with those of the last call.
    pub(super) fn observe(&mut self, now: Now, counters: impl Fn(BindFailure) -> u64) {
        for &reason in BindFailure::ALL {
            let (counted, refused) = (&mut self.counted[reason.index()], &mut self.refused[reason.index()]);
            let count = counters(reason);
            if std::mem::replace(counted, count) != count {
                *refused = Some(now.mono);
            }
            *refused = refused.filter(|refused| now.mono < *refused + QUIET);
        }
    }

    /// One line, with its remedy, for each current trouble.
    pub(super) fn troubles(&self) -> impl Iterator<Item = String> {
        let current = BindFailure::ALL.iter().filter(|reason| self.refused[reason.index()].is_some());
        current.filter_map(|reason| trouble(*reason)).map(str::to_owned)
    }
}

fn trouble(reason: BindFailure) -> Option<&'static str> {
    match reason {
        BindFailure::PortInUse | BindFailure::AddressMissing => None,
        BindFailure::Descriptors => Some(
            "clients get no relay socket, because the file descriptors are used up: raise `LimitNOFILE=` of the \
             unit, or fs.file-max of the machine",
        ),
        BindFailure::Memory => Some(
            "clients get no relay socket, because the kernel has no memory for it: stop the processes that use \
             the memory, or lower relay.relay_buffer",
        ),
        BindFailure::Denied => Some(
            "clients get no relay socket, because a security policy forbids it: permit the service to bind UDP \
             sockets (`journalctl -k` names the policy)",
        ),
        BindFailure::Other => Some(
            "clients get no relay socket, because the kernel refuses it: log each refusal with its reason by \
             `level = \"info,byway::shard=debug\"` under [log]",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_35_a_refusal_is_a_trouble_until_a_minute_has_passed_without_another() {
        let mut watch = RelaySocketWatch::default();
        let mut after = |seconds, descriptors, in_use| {
            let now = Now { mono: Duration::from_secs(seconds), unix: 0 };
            watch.observe(now, |reason| match reason {
                BindFailure::Descriptors => descriptors,
                BindFailure::PortInUse | BindFailure::AddressMissing => in_use,
                _ => 0,
            });
            watch.troubles().collect::<Vec<_>>()
        };
        assert!(after(0, 0, 0).is_empty());
        assert!(after(1, 0, 7).is_empty(), "another port is tried, and the host watch names addresses");
        let trouble = after(2, 1, 7);
        assert!(trouble.len() == 1 && trouble[0].contains("LimitNOFILE"), "{trouble:?}");
        assert_eq!(after(61, 1, 7), trouble);
        assert_eq!(after(61, 5, 7), trouble, "one line, however many refusals");
        assert_eq!(after(120, 5, 7), trouble);
        assert!(after(121, 5, 7).is_empty());
    }
}
