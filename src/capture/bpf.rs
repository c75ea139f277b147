//! Constructors of the instructions of classic BPF.
//!
//! This file contains the encoding of instructions; [`filter`](super::filter) and [`routes`](super::routes) assemble
//! programs of them.
//!
//! Sources: `Documentation/networking/filter.rst`, `include/uapi/linux/filter.h`.

#[cfg(any(test, fuzzing))]
pub(super) mod machine;

use libc::{BPF_ABS, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SKF_AD_OFF, sock_filter};

/// The number of bytes to keep that drops the frame or message: none.
pub(super) const DROP: u32 = 0;

/// The number of bytes to keep that keeps the frame or message in full: the maximum.
pub(super) const PASS: u32 = u32::MAX;

/// Loads ancillary data (`SKF_AD_*`): properties of a frame that are not in its bytes.
pub(super) fn load_ancillary(field: i32) -> sock_filter {
    load(BPF_W, SKF_AD_OFF + field)
}

/// Loads from the frame; a negative offset is relative to another origin than its first byte (`SKF_NET_OFF`,
/// `SKF_AD_OFF`).
pub(super) fn load(size: u32, offset: i32) -> sock_filter {
    stmt(BPF_LD | BPF_ABS | size, offset.cast_unsigned())
}

/// Skips `count` instructions if the comparison holds.
pub(super) fn skip_if(comparison: u32, value: u32, count: u8) -> sock_filter {
    sock_filter { code: code(BPF_JMP | BPF_K | comparison), jt: count, jf: 0, k: value }
}

/// Skips `count` instructions unless the comparison holds.
pub(super) fn skip_unless(comparison: u32, value: u32, count: u8) -> sock_filter {
    sock_filter { code: code(BPF_JMP | BPF_K | comparison), jt: 0, jf: count, k: value }
}

/// Ends the program and keeps at most `snap_len` bytes; [`DROP`] keeps none.
pub(super) fn ret(snap_len: u32) -> sock_filter {
    stmt(BPF_RET | BPF_K, snap_len)
}

/// Encodes an instruction without a jump.
pub(super) fn stmt(operation: u32, value: u32) -> sock_filter {
    sock_filter { code: code(operation), jt: 0, jf: 0, k: value }
}

/// Returns the length of a block of instructions, for a jump over it.
///
/// # Panics
/// Panics if the block has more than 255 instructions, the maximum distance of a conditional jump.
pub(super) fn jump_len(block: &[sock_filter]) -> u8 {
    u8::try_from(block.len()).expect("no block that is jumped over has more than 255 instructions")
}

fn code(operation: u32) -> u16 {
    u16::try_from(operation).expect("BPF operations are sums of constants below 256")
}
