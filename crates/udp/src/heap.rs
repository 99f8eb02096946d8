//! The heap of the C library. The call is in this crate because all unsafe code is here, and no
//! safe crate offers it.
#![allow(unsafe_code, reason = "a C library function that no safe crate wraps")]

/// Returns free pages of the heap to the kernel. By itself, glibc returns only those at the end of
/// an arena, so after a flood of connections their memory would remain. Takes some milliseconds,
/// and locks one arena after the other.
pub fn return_free_pages() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` takes no pointer, may be called from any thread, and leaves every live
    // allocation as it is.
    unsafe {
        libc::malloc_trim(0);
    }
}
