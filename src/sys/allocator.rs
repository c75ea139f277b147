//! The allocator's own memory: what was freed and the system does not have back yet.

/// Gives what the calling thread has freed back to the system.
///
/// mimalloc does so by itself 10 ms after a piece was freed, but only when the thread takes or frees another one
/// nearby: a thread that has grown quiet after a flood would keep the last of it. It looks at each piece that the
/// thread has, some microseconds for a million pairs. Under another allocator nothing happens.
pub fn purge() {
    // SAFETY: any thread may call it at any time, it touches nothing that is in use (mimalloc.h, `mi_collect`).
    unsafe { libmimalloc_sys::mi_collect(true) }
}
