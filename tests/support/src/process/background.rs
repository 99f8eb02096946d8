//! Work that goes on beside a test, and no longer than it: the tests of one target share a process
//! and its cores.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

/// Repeats `step` on so many threads while `work` runs, and stops however that ends. `step` is
/// given its thread's number.
pub fn repeating<T>(threads: usize, step: impl Fn(usize) + Sync, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Dropped within the scope, which then waits for the threads.
        let _end = SetOnDrop(&over);
        for number in 0..threads {
            let (step, over) = (&step, &over);
            scope.spawn(move || {
                while !over.load(Relaxed) {
                    step(number);
                }
            });
        }
        work()
    })
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
