//! Prefetches into the first-level cache. This is a hint to the processor, without an effect on results.

/// Prefetches the cache lines in which `value` begins and ends. It does not wait for them.
#[inline(always)]
pub(crate) fn prefetch<T>(value: &T) {
    let first = std::ptr::from_ref(value).cast::<i8>();
    line(first);
    // If the size of a value does not divide a line, some or all values of an array straddle two lines.
    if !LINE_BYTES.is_multiple_of(size_of::<T>().max(1)) {
        line(first.wrapping_add(size_of::<T>() - 1));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn line(address: *const i8) {
    // SAFETY: the instruction has no architectural effect and does not fault on any address; SSE is part of every
    // x86-64.
    unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address) }
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn line(address: *const i8) {
    // SAFETY: `prfm` changes no register, flag or memory and does not fault on any address (Arm Architecture
    // Reference Manual, C6.2, PRFM).
    unsafe {
        std::arch::asm!(
            "prfm pldl1keep, [{address}]",
            address = in(reg) address,
            options(nostack, readonly, preserves_flags),
        );
    }
}

/// Does nothing on other architectures.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn line(_: *const i8) {}

const LINE_BYTES: usize = 64;
