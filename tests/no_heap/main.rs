//! The per-packet paths do not touch the heap, and strangers leave none of it behind (threat 6):
//! counted, not claimed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests")]

mod core;
mod data_plane;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};

use nix::unistd::gettid;

/// Counts calls of the system's allocator: by each test's thread for itself, and by one
/// other thread for the test that watches it.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

/// The thread that is watched, by the kernel's number, if there is one.
static WATCHED: AtomicI32 = AtomicI32::new(0);
/// Calls of that thread.
static WATCHED_CALLS: AtomicU64 = AtomicU64::new(0);

fn count(bytes: i64) {
    CALLS.set(CALLS.get() + 1);
    BYTES.set(BYTES.get() + bytes);
    let watched = WATCHED.load(Relaxed);
    if watched != 0 && gettid().as_raw() == watched {
        WATCHED_CALLS.fetch_add(1, Relaxed);
    }
}

#[expect(unsafe_code, reason = "the trait is unsafe; nothing is done here but to count and pass on")]
// SAFETY: every call is passed on to the system's allocator as it came; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size().cast_signed() as i64));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed() as i64 - layout.size().cast_signed() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
