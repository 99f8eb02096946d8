//! Phases of the server: the single signal for its shutdown.

use tokio::sync::watch;

/// A phase. The server passes through the phases in this order and may skip
/// [`Draining`](Self::Draining).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// All clients are served.
    Running,
    /// New clients are refused, signaling ends, and relayed calls continue.
    Draining,
    /// Everything ends.
    Stopping,
}

/// Sender of the current phase, with a single owner.
#[derive(Debug)]
pub struct PhaseSender(watch::Sender<Phase>);

impl PhaseSender {
    /// Creates the sender of a running server.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(Phase::Running))
    }

    /// Enters a phase, unless the server is past it.
    pub fn enter(&self, phase: Phase) {
        self.0.send_if_modified(|present| {
            let is_later = phase > *present;
            *present = phase.max(*present);
            is_later
        });
    }

    /// Returns a receiver of the phase.
    #[must_use]
    pub fn watch(&self) -> PhaseWatch {
        PhaseWatch(self.0.subscribe())
    }
}

impl Default for PhaseSender {
    fn default() -> Self {
        Self::new()
    }
}

/// Receiver of the current phase.
#[derive(Clone, Debug)]
pub struct PhaseWatch(watch::Receiver<Phase>);

impl PhaseWatch {
    /// Whether the server has reached a phase.
    #[must_use]
    pub fn has_reached(&self, phase: Phase) -> bool {
        *self.0.borrow() >= phase
    }

    /// Waits until the server has reached a phase, or the sender is dropped.
    pub async fn reached(&mut self, phase: Phase) {
        // An error means that the sender is dropped, which is also an end.
        let _ = self.0.wait_for(|present| *present >= phase).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_only_go_forward() {
        let sender = PhaseSender::new();
        let mut watch = sender.watch();
        assert!(watch.has_reached(Phase::Running) && !watch.has_reached(Phase::Draining));
        sender.enter(Phase::Stopping);
        sender.enter(Phase::Draining);
        assert!(watch.has_reached(Phase::Stopping));
        watch.reached(Phase::Draining).await;
        assert!(sender.watch().has_reached(Phase::Stopping), "late receivers also see it");
        drop(sender);
        watch.reached(Phase::Stopping).await;
    }
}
