//! The heap after a flood: its free pages go back to the kernel.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::admission::ConnectionCounters;
use crate::udp::return_free_pages;

/// Time between two looks at the number of connections.
const EVERY: Duration = Duration::from_secs(1);

/// Connections that have to end before it is worth the time: some 10 MiB.
const ENDED: u64 = 256;

/// Returns free pages each time that many of `connections` have ended.
pub(super) async fn return_after_floods(connections: [Arc<ConnectionCounters>; 3]) {
    let mut peak = 0_u64;
    loop {
        sleep(EVERY).await;
        let open: u64 = connections.iter().map(|connections| connections.open.get()).sum();
        peak = open.max(peak);
        if peak - open >= ENDED {
            peak = open;
            // A panic there is none; an end of the runtime ends this, too.
            let _ = spawn_blocking(return_free_pages).await;
        }
    }
}
