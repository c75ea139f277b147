//! A table of pairs: the minimum that a program needs to count the traffic of each pair.

/// A table with open addressing. A slot has a key and a sum of bytes, 16 bytes together.
pub(crate) struct PairTable {
    slots: Vec<[u64; 2]>,
    shift: u32,
}

impl PairTable {
    /// Makes a table for `2^bits` pairs, which must never become full.
    pub(crate) fn new(bits: u32) -> Self {
        Self { slots: vec![[0; 2]; 1 << bits], shift: 64 - bits }
    }

    /// Adds `bytes` to the pair of an IP packet; `ip` begins with the IP header.
    #[inline]
    pub(crate) fn add(&mut self, ip: &[u8], bytes: u32) {
        // Zero marks an empty slot.
        let key = pair(ip).max(1);
        let mask = self.slots.len() - 1;
        let mut at = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize & mask;
        loop {
            let slot = &mut self.slots[at];
            if slot[0] == key || slot[0] == 0 {
                *slot = [key, slot[1] + u64::from(bytes)];
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// Returns the number of pairs and the sum of their bytes.
    pub(crate) fn sums(&self) -> (usize, u64) {
        let taken = self.slots.iter().filter(|slot| slot[0] != 0);
        taken.fold((0, 0), |(pairs, bytes), slot| (pairs + 1, bytes + slot[1]))
    }
}

/// Returns both addresses in one word; the bits of IPv6 addresses are mixed into it.
#[inline]
fn pair(ip: &[u8]) -> u64 {
    let word =
        |at: usize| ip.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_ne_bytes);
    match ip.first().map(|first| first >> 4) {
        Some(4) => word(12),
        Some(6) => word(16).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word(32),
        _ => 0,
    }
}
