//! The allocator of the process: mimalloc (version 2), or that of the C library where address space is limited.
//!
//! mimalloc reserves a gigabyte of address space at once, or 32 MiB for each thread where it gets no gigabyte, and
//! touches little of that. A process that may have a few hundred megabytes of it (RLIMIT_AS), or of private memory
//! (RLIMIT_DATA), could not even start its threads. The allocator of glibc takes only what is used if all threads share
//! one arena: each further arena reserves 64 MiB (`HEAP_MAX_SIZE` of malloc/arena.c).
//!
//! Which of them it is depends on the limits at the first allocation and never changes after that. It allocates nothing
//! itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU8, Ordering};

use mimalloc::MiMalloc;
use nix::sys::resource::{Resource, getrlimit};

/// A limit of less address space or private memory than this, in bytes, calls for the allocator of the C library.
pub const ADDRESS_SPACE_NEEDED: u64 = 4_000_000_000;

/// The global allocator of the program.
#[derive(Debug)]
pub struct Allocator;

/// One of the constants below.
static IN_FORCE: AtomicU8 = AtomicU8::new(UNDECIDED);

const UNDECIDED: u8 = 0;
const MIMALLOC: u8 = 1;
const C_LIBRARY: u8 = 2;

// SAFETY: each call is passed on, with its arguments and to the same allocator every time; both are global allocators.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_of_c_library() {
            // SAFETY: the caller upholds the contract of `GlobalAlloc::alloc`.
            unsafe { System.alloc(layout) }
        } else {
            // SAFETY: as above.
            unsafe { MiMalloc.alloc(layout) }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_of_c_library() {
            // SAFETY: the caller upholds the contract of `GlobalAlloc::alloc_zeroed`.
            unsafe { System.alloc_zeroed(layout) }
        } else {
            // SAFETY: as above.
            unsafe { MiMalloc.alloc_zeroed(layout) }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if is_of_c_library() {
            // SAFETY: the caller upholds the contract of `GlobalAlloc::dealloc`, and the block is of this allocator.
            unsafe { System.dealloc(pointer, layout) }
        } else {
            // SAFETY: as above.
            unsafe { MiMalloc.dealloc(pointer, layout) }
        }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_of_c_library() {
            // SAFETY: the caller upholds the contract of `GlobalAlloc::realloc`, and the block is of this allocator.
            unsafe { System.realloc(pointer, layout, size) }
        } else {
            // SAFETY: as above.
            unsafe { MiMalloc.realloc(pointer, layout, size) }
        }
    }
}

/// Returns memory that was freed to the system.
///
/// mimalloc does so by itself 10 ms after a block was freed, but only when the thread allocates or frees another block
/// nearby: a thread that is idle after a flood would keep the rest. The call visits each page of the calling thread's
/// heap, which takes some microseconds for a million pairs of hosts. glibc returns large blocks at once, and smaller
/// ones when asked. The call has no effect if the process uses another allocator.
pub fn purge() {
    if IN_FORCE.load(Ordering::Relaxed) == C_LIBRARY {
        c_library::purge();
    } else {
        // SAFETY: `mi_collect` may be called on any thread at any time and frees no memory that is in use (mimalloc.h).
        unsafe { libmimalloc_sys::mi_collect(true) }
    }
}

#[inline]
fn is_of_c_library() -> bool {
    match IN_FORCE.load(Ordering::Relaxed) {
        UNDECIDED => decide() == C_LIBRARY,
        allocator => allocator == C_LIBRARY,
    }
}

/// Chooses the allocator, and returns it. All threads get the same answer.
#[cold]
fn decide() -> u8 {
    let is_limited = [Resource::RLIMIT_AS, Resource::RLIMIT_DATA]
        .into_iter()
        .any(|resource| getrlimit(resource).is_ok_and(|(soft, _)| soft < ADDRESS_SPACE_NEEDED));
    let choice = if is_limited { C_LIBRARY } else { MIMALLOC };
    // Relaxed: nothing else is published with this value.
    match IN_FORCE.compare_exchange(UNDECIDED, choice, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) if is_limited => c_library::share_one_arena(),
        Ok(_) => {}
        Err(earlier) => return earlier,
    }
    choice
}

/// What glibc needs to be told; other C libraries have no arenas.
#[cfg(target_env = "gnu")]
mod c_library {
    /// Blocks of at least this many bytes are mapped on their own, and returned to the system when they are freed.
    /// Without this the bound grows with each such block that is freed, up to 32 MiB.
    const MAPPED_BYTES_MIN: libc::c_int = 256 << 10;

    pub(super) fn share_one_arena() {
        // SAFETY: `mallopt` takes numbers. It returns 0 where it refuses one, and then only more memory is taken.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
        // SAFETY: as above.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN) };
    }

    pub(super) fn purge() {
        // SAFETY: `malloc_trim` may be called on any thread at any time and frees no memory that is in use.
        unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(not(target_env = "gnu"))]
mod c_library {
    pub(super) fn share_one_arena() {}

    pub(super) fn purge() {}
}
