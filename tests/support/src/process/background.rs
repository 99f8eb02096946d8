//! Background work that ends with its test, because the tests of one target share a process and its
//! cores.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

/// Repeats `step` on `threads` threads while `work` runs. The threads stop when `work` returns or
/// panics. `step` takes the number of its thread.
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
