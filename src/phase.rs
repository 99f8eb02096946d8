//! Phases of the server's life: one signal that everything which is to end follows.

use tokio::sync::watch;

/// A phase. The server passes through them in this order, and may leave out
/// [`Draining`](Self::Draining).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everyone is served.
    Running,
    /// Newcomers are refused, signaling ends, and calls go on over the relay.
    Draining,
    /// Everything ends.
    Stopping,
}

/// The phase at present, as its one owner sets it.
#[derive(Debug)]
pub struct PhaseSender(watch::Sender<Phase>);

impl PhaseSender {
    /// A server that runs.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(Phase::Running))
    }

    /// Enters a phase, unless it is over.
    pub fn enter(&self, phase: Phase) {
        self.0.send_if_modified(|present| {
            let is_later = phase > *present;
            *present = phase.max(*present);
            is_later
        });
    }

    /// A view of the phase.
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

/// The phase at present, for those who follow it.
#[derive(Clone, Debug)]
pub struct PhaseWatch(watch::Receiver<Phase>);

impl PhaseWatch {
    /// Whether the server has reached a phase.
    #[must_use]
    pub fn has_reached(&self, phase: Phase) -> bool {
        *self.0.borrow() >= phase
    }

    /// Waits until the server has reached a phase, or its owner is gone.
    pub async fn reached(&mut self, phase: Phase) {
        // An error is an owner that is gone, which is the end, too.
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
        assert!(sender.watch().has_reached(Phase::Stopping), "late watchers see it, too");
        drop(sender);
        watch.reached(Phase::Stopping).await;
    }
}
