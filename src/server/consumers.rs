//! Tasks that consume events.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::supervise::Supervisor;
use crate::events::{EventReceiver, Timed};

/// Passes every event of a consumer to `note`, which must not wait.
pub(super) fn keep(
    name: &'static str,
    events: EventReceiver,
    supervisor: &Supervisor,
    note: impl Fn(Timed) + Clone + Send + 'static,
) {
    // A task that is started again goes on with the same events.
    let events = Arc::new(Mutex::new(events));
    supervisor.keep(name, move || {
        let (events, note) = (events.clone(), note.clone());
        async move {
            let mut events = events.lock().await;
            while let Some(event) = events.recv().await {
                note(event);
            }
            // Every sender has ended, and so has the server.
            std::future::pending().await
        }
    });
}
