//! Prefetching into the first-level cache: a hint to the processor, without an effect on results.

/// Prefetches the cache lines in which `value` begins and ends. Does not wait for them.
#[inline(always)]
pub(crate) fn prefetch<T>(value: &T) {
    let first = std::ptr::from_ref(value).cast::<i8>();
    line(first);
    // In an array, values whose size does not divide a line straddle two lines, some of them or all.
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
    // SAFETY: `prfm` changes no register, flag or memory and never faults, whatever the address is (Arm Architecture
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
