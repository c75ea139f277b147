//! Ranges of settings that more than one row has, or that need a reason.

use std::ops::RangeInclusive;

/// Seconds that an interval may last: slots are a tenth of it and at least 100 ms; a month is the longest
/// span that anybody bills.
pub(super) const INTERVAL_S: RangeInclusive<u64> = 1..=30 * 24 * 3600;

/// Seconds within which an alert opens again; 0 opens a new one each time.
pub(super) const COOLDOWN_S: RangeInclusive<u64> = 0..=*INTERVAL_S.end();

/// Bytes that a limit may have: an exabyte, which leaves room for sums of such sums in 64 bits.
pub(super) const LIMIT_BYTES: RangeInclusive<u64> = 1..=1_000_000_000_000_000_000;

/// As [`LIMIT_BYTES`], and 0 shows every host.
pub(super) const CHART_BYTES: RangeInclusive<u64> = 0..=*LIMIT_BYTES.end();

/// Contacts that a host may make before it is reported.
pub(super) const CONTACTED_HOSTS: RangeInclusive<u32> = 1..=1_000_000_000;

/// There are 65536 ports, and one more than the limit must be possible.
pub(super) const CONTACTED_PORTS: RangeInclusive<u32> = 1..=65_535;

/// Packets or contacts that a host may make in a second.
pub(super) const RATES: RangeInclusive<u32> = 1..=1_000_000_000;

/// Prefix lengths by which IPv6 hosts are counted as one: from what a provider gets to what a network has.
pub(super) const GROUP_IPV6: RangeInclusive<u8> = 32..=64;

/// Lost frames of a million from which on an alert is raised: from a ten-thousandth of a percent to all.
pub(super) const LOSS_PPM: RangeInclusive<u32> = 1..=1_000_000;

/// A fanout group has at most 256 sockets unless it was made for more (`fanout_add` of
/// net/packet/af_packet.c).
pub(super) const WORKERS: RangeInclusive<usize> = 1..=256;

/// Bytes of all rings: block number times block size must stay below 2^32 for one ring
/// (`packet_set_ring` of net/packet/af_packet.c), and there may be one only.
pub(super) const RING_MEMORY_BYTES: RangeInclusive<u64> = 1_000_000..=4_000_000_000;

/// Bytes of all but the rings. A pair of hosts that is active all the time and the host that comes with it take 480
/// bytes; the minimum holds ten thousand of them, and then the smallest are evicted.
pub(super) const MEMORY_BYTES: RangeInclusive<u64> = 32_000_000..=1_000_000_000_000;

/// What `MemoryLimit: auto` gives at least and at most: a router of 512 MB keeps three quarters for others, and the
/// upper end holds five million pairs of hosts.
pub(super) const MEMORY_BYTES_AUTO: RangeInclusive<u64> = 64_000_000..=4_000_000_000;
