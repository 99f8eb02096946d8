//! The watchdog of systemd (`WatchdogSec=`), which restarts a server that lives and does not
//! answer.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::sleep;

use super::notify;
use super::supervise::Supervisor;
use crate::shard::Pulse;

/// Feeds the watchdog, if there is one, while every shard answers.
pub(super) fn keep(pulse: Pulse, supervisor: &Supervisor) {
    // Half of the time for an answer and the pause behind it: the watchdog expects two signs within
    // all of it.
    if let Some(every) = sd_notify::watchdog_enabled().map(|longest| longest / 4) {
        supervisor.keep("watchdog", move || feed(pulse.clone(), every));
    }
}

async fn feed(pulse: Pulse, every: Duration) {
    let mut told = Vec::new();
    loop {
        let silent = pulse.silent(every).await;
        if silent.is_empty() {
            notify(&[NotifyState::Watchdog]);
        } else if silent != told {
            let shards: Vec<_> = silent.iter().map(|shard| format!("shard {shard}")).collect();
            tracing::error!("no answer to a STUN request within {every:?}: {}", shards.join(", "));
        }
        told = silent;
        sleep(every).await;
    }
}
