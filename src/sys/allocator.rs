//! Controls the allocator (mimalloc, version 2) beyond the interface of `GlobalAlloc`.

/// Returns to the system the memory that the calling thread has freed.
///
/// mimalloc does so by itself 10 ms after a block was freed, but only when the thread allocates or frees another block
/// nearby: a thread that is idle after a flood would keep the rest. The call visits each page of the thread's heap,
/// which takes some microseconds for a million pairs of hosts. It has no effect if the process uses another allocator.
pub fn purge() {
    // SAFETY: `mi_collect` may be called on any thread at any time and frees no memory that is in use (mimalloc.h).
    unsafe { libmimalloc_sys::mi_collect(true) }
}
