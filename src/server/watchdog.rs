//! The watchdog of systemd (`WatchdogSec=`), which restarts a server that runs but does not answer.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::sleep;

use super::notify;
use super::supervise::Supervisor;
use crate::shard::Pulse;

/// Notifies the watchdog, if it is enabled, while every shard answers.
pub(super) fn keep(pulse: Pulse, supervisor: &Supervisor) {
    // A quarter of the watchdog's time for an answer and a quarter for the pause after it. Two
    // notifications thus fit into its time.
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
