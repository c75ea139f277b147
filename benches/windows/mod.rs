//! Windows and deltas for the benches, filled with the pairs of [`packets`](crate::packets).

use std::time::Duration;

use traffic_alerted::flow::{Capacity, Decoded, Delta, DeltaLimits, FrameContext, Options, Seed, Window};
use traffic_alerted::time::UnixNanos;

use crate::packets;

/// Nanoseconds of a second.
#[allow(dead_code, reason = "not every bench needs every part")]
pub(crate) const SECOND: u64 = 1_000_000_000;

/// Memory limit of a window for two million pairs.
const MEMORY_BYTES: u64 = 1 << 30;

/// Makes an empty window of ten seconds.
#[allow(dead_code, reason = "not every bench needs every part")]
pub(crate) fn window() -> Window {
    window_within(MEMORY_BYTES)
}

/// Makes an empty window with another memory limit.
pub(crate) fn window_within(memory_bytes_max: u64) -> Window {
    let options = Options {
        traffic_interval: Duration::from_secs(10),
        port_interval: None,
        chart_bytes_min: 1,
        group_ipv6: None,
        memory_bytes_max,
    };
    let limits = Capacity::from_memory(memory_bytes_max, 1, false).expect("it is enough");
    Window::new(&options, &limits, seed())
}

/// Makes an empty delta for this many pairs.
pub(crate) fn delta(pairs: u32) -> Delta {
    Delta::new(DeltaLimits { pairs_max: pairs as usize, ports_max: 0, interfaces_max: 16 }, seed())
}

/// Counts one packet of each of these pairs and closes the delta.
pub(crate) fn count(delta: &mut Delta, pairs: impl Iterator<Item = u32>, seen_at: UnixNanos) {
    count_open(delta, pairs, seen_at);
    delta.close();
}

/// Counts one packet of each of these pairs without closing the delta.
pub(crate) fn count_open(delta: &mut Delta, pairs: impl Iterator<Item = u32>, seen_at: UnixNanos) {
    let mut decoded = Decoded::default();
    for pair in pairs {
        if decoded.push(delta, &packets::udp(pair), FrameContext { seen_at, ..FrameContext::default() }) {
            delta.count_decoded(&mut decoded);
        }
    }
    delta.count_decoded(&mut decoded);
}

/// Windows and deltas that are used together must have the same seed.
fn seed() -> Seed {
    static SEED: std::sync::OnceLock<Seed> = std::sync::OnceLock::new();
    SEED.get_or_init(Seed::default).clone()
}
