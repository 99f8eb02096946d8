//! The end of the server: at once, or once the calls that are on are over.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::relaying::Relaying;
use super::web::Web;
use super::{ServerError, notify, system};
use crate::phase::{Phase, PhaseSender};
use crate::shard::Allocations;

/// How often it is looked whether there still are allocations.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the end takes beyond the wait for calls: closing handshakes and the last responses.
const FAREWELL: Duration = Duration::from_secs(15);

/// The signals that end the server.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// SIGINT: end now.
    Now,
    /// SIGTERM: end when the calls are over.
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

/// Waits until a signal tells the server to end, and then for the allocations that there are: for
/// `drain` at most, or until another signal. Meanwhile nobody new is let in, and those who have
/// come for signaling are sent away.
///
/// # Errors
/// [`Error::ShardEnded`], [`Error::ListenersEnded`]
pub(super) async fn wait(
    mut signals: Signals,
    relaying: &mut Relaying,
    web: &mut Web,
    phase: &PhaseSender,
    drain: Duration,
) -> Result<(), ServerError> {
    let told = tokio::select! {
        told = signals.next() => Ok(told),
        () = relaying.data_plane.ended() => Err(relaying.lost()),
        listeners = web.ended() => Err(ServerError::ListenersEnded(listeners)),
    };
    notify(&[NotifyState::Stopping]);
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
        "draining: {drain:?} at most until calls have ended, allocations={live}; another signal ends them"
    );
    let longest = u32::try_from((drain + FAREWELL).as_micros()).unwrap_or(u32::MAX);
    notify(&[
        NotifyState::ExtendTimeoutUsec(longest),
        NotifyState::Status(&format!("Draining; allocations when told to stop: {live}")),
    ]);
    tokio::select! {
        () = none_left(&allocations) => {}
        () = sleep(drain) => tracing::info!("no more time for calls, allocations={}", allocations.live()),
        _ = signals.next() => tracing::info!("another signal, allocations={}", allocations.live()),
        () = relaying.data_plane.ended() => return Err(relaying.lost()),
    }
    Ok(())
}

async fn none_left(allocations: &Allocations) {
    while allocations.live() > 0 {
        sleep(LOOK_EVERY).await;
    }
}
