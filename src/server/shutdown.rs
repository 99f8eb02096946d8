//! Shutdown of the server, with or without a drain of the relayed calls.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::relaying::Relaying;
use super::web::Web;
use super::{ServerError, notify, system};
use crate::live::Live;
use crate::phase::{Phase, PhaseSender};
use crate::shard::Allocations;

/// Interval between checks for remaining allocations.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Time for the shutdown after the drain: closing handshakes and the last responses.
const FAREWELL: Duration = Duration::from_secs(15);

/// The signals that end the server.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// Kind of shutdown that a signal requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// SIGINT: end now.
    Now,
    /// SIGTERM: end after a drain.
    Gently,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, ServerError> {
        let interrupt = signal(SignalKind::interrupt()).map_err(system("listen for SIGINT"))?;
        let terminate = signal(SignalKind::terminate()).map_err(system("listen for SIGTERM"))?;
        Ok(Self { interrupt, terminate })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::Now,
            _ = self.terminate.recv() => Told::Gently,
        }
    }
}

/// Waits for a signal to end, then drains: waits until all allocations have ended, for `drain` at
/// most or until another signal. During the drain the server refuses new clients and closes
/// signaling connections.
///
/// # Errors
/// [`Error::ShardEnded`], [`Error::ListenersEnded`]
pub(super) async fn wait(
    mut signals: Signals,
    relaying: &mut Relaying,
    web: &mut Web,
    phase: &PhaseSender,
    drain: &Live<Duration>,
) -> Result<(), ServerError> {
    let told = tokio::select! {
        told = signals.next() => Ok(told),
        () = relaying.data_plane.ended() => Err(relaying.lost()),
        listeners = web.ended() => Err(ServerError::ListenersEnded(listeners)),
    };
    notify(&[NotifyState::Stopping]);
    let drain = **drain.load();
    if told? == Told::Now || drain.is_zero() {
        return Ok(());
    }
    relaying.shared.drain();
    phase.enter(Phase::Draining);

    let allocations = relaying.allocations();
    let live = allocations.live();
    if live == 0 {
        return Ok(());
    }
    tracing::info!(
        "draining: waiting up to {drain:?} for calls to end, allocations={live}; send another signal to \
         end them now"
    );
    let longest = u32::try_from((drain + FAREWELL).as_micros()).unwrap_or(u32::MAX);
    notify(&[
        NotifyState::ExtendTimeoutUsec(longest),
        NotifyState::Status(&format!("Draining; allocations at SIGTERM: {live}")),
    ]);
    tokio::select! {
        () = none_left(&allocations) => {}
        () = sleep(drain) => tracing::info!("drain timeout reached, allocations={}", allocations.live()),
        _ = signals.next() => tracing::info!("second signal received, allocations={}", allocations.live()),
        () = relaying.data_plane.ended() => return Err(relaying.lost()),
    }
    Ok(())
}

async fn none_left(allocations: &Allocations) {
    while allocations.live() > 0 {
        sleep(LOOK_EVERY).await;
    }
}
