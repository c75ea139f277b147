//! A word to the processor about what is read next.

/// Has the cache lines fetched in which `value` begins and ends, without waiting for them. A hint: it changes nothing
/// but time.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    let first = std::ptr::from_ref(value).cast::<i8>();
    line(first);
    // Side by side, values of other sizes begin in one line and end in the next, some of them or all.
    if !LINE_BYTES.is_multiple_of(size_of::<T>().max(1)) {
        line(first.wrapping_add(size_of::<T>() - 1));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn line(address: *const i8) {
    // SAFETY: the instruction reads nothing that a program could see and faults on no address, whatever it is; and SSE
    // is part of every x86-64.
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

/// Elsewhere the processor guesses by itself.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn line(_: *const i8) {}

const LINE_BYTES: usize = 64;
