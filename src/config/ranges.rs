//! Ranges of settings that more than one row uses, or that need an explanation.

use std::ops::RangeInclusive;

use crate::alert::ALERT_RATE_MAX;

/// Length of an interval in seconds. A slot is a tenth of it, so at least 100 ms. The maximum is a month of 30 days,
/// the longest span by which traffic is usually billed.
pub(super) const INTERVAL_S: RangeInclusive<u64> = 1..=30 * 24 * 3600;

/// Seconds after its end within which an alert opens again; with 0, a new alert is opened each time.
pub(super) const COOLDOWN_S: RangeInclusive<u64> = 0..=*INTERVAL_S.end();

/// Number of alerts within a minute. With more than the maximum a storm would be no relief.
pub(super) const ALERT_BURST: RangeInclusive<u32> = 1..=10_000;

/// Number of notices within a minute. A full queue keeps as many as the rate lets through, and has room for as many
/// again.
pub(super) const ALERT_RATE: RangeInclusive<u32> = 1..=ALERT_RATE_MAX;

/// Limit in bytes. The maximum is an exabyte, so that a sum of 18 such values still fits into 64 bits.
pub(super) const LIMIT_BYTES: RangeInclusive<u64> = 1..=1_000_000_000_000_000_000;

/// Minimum bytes of a host on the chart: as [`LIMIT_BYTES`], or 0, which shows every host.
pub(super) const CHART_BYTES: RangeInclusive<u64> = 0..=*LIMIT_BYTES.end();

/// Number of hosts that a host may contact before it is reported.
pub(super) const CONTACTED_HOSTS: RangeInclusive<u32> = 1..=1_000_000_000;

/// Number of ports that a host may contact before it is reported. There are 65536 ports, so the maximum can be
/// exceeded.
pub(super) const CONTACTED_PORTS: RangeInclusive<u32> = 1..=65_535;

/// Number of packets, or of contacts, that a host may send or make per second.
pub(super) const RATES: RangeInclusive<u32> = 1..=1_000_000_000;

/// Prefix lengths by which IPv6 addresses are counted as one host: from the prefix of a provider to that of one
/// network.
pub(super) const GROUP_IPV6: RangeInclusive<u8> = 32..=64;

/// Lost frames per million above which an alert is raised: from 0.0001 % to 100 %.
pub(super) const LOSS_PPM: RangeInclusive<u32> = 1..=1_000_000;

/// Number of workers. A fanout group has at most 256 sockets unless it was created for more (`fanout_add` of
/// net/packet/af_packet.c).
pub(super) const WORKERS: RangeInclusive<usize> = 1..=256;

/// Bytes of all rings together. In one ring the number of blocks times their size must be below 2^32
/// (`packet_set_ring` of net/packet/af_packet.c), and there may be only one ring.
pub(super) const RING_MEMORY_BYTES: RangeInclusive<u64> = 1_000_000..=4_000_000_000;

/// Bytes of everything but the rings. A pair of hosts that is active all the time takes 480 bytes together with its
/// host; the minimum has room for ten thousand such pairs, and further ones evict the smallest.
pub(super) const MEMORY_BYTES: RangeInclusive<u64> = 32_000_000..=1_000_000_000_000;

/// Minimum and maximum bytes that `MemoryLimit: auto` gives, which is a quarter of the memory in between. So a router
/// of 512 MB keeps three quarters for other programs. The maximum has room for five million pairs of hosts.
pub(super) const MEMORY_BYTES_AUTO: RangeInclusive<u64> = 64_000_000..=4_000_000_000;
