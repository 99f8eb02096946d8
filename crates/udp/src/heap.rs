//! The heap of the C library. It is here because this room has all unsafe code; no safe crate has
//! the call.
#![allow(unsafe_code, reason = "a call of the C library that no crate wraps")]

/// Returns free pages of the heap to the kernel. glibc by itself returns only those at the end of
/// an arena, so a flood of connections would leave its memory behind. Takes some milliseconds, and
/// the lock of one arena after the other.
pub fn return_free_pages() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` takes no pointer, may be called from any thread, and leaves every live
    // allocation as it is.
    unsafe {
        libc::malloc_trim(0);
    }
}
