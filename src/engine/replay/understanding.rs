//! Whether anything in a capture was understood, and why not.

use crate::capture::Batch;
use crate::packet::{Skip, decode};

/// Why the frames of a capture were not understood. It looks at frames until one has an IP packet, which is usually the
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Understanding {
    has_packet: bool,
    /// The frames before the first with a packet, by the reason why it has none.
    skipped: [u64; Skip::COUNT],
}

impl Default for Understanding {
    fn default() -> Self {
        Self { has_packet: false, skipped: [0; Skip::COUNT] }
    }
}

impl Understanding {
    /// Looks at the frames of a batch, unless a packet was found before.
    #[inline]
    pub(super) fn look_at<B: Batch>(&mut self, batch: &B) {
        if !self.has_packet {
            self.look_for_packet(batch);
        }
    }

    #[cold]
    fn look_for_packet<B: Batch>(&mut self, batch: &B) {
        for frame in batch.frames() {
            match decode(&frame) {
                Ok(_) => {
                    self.has_packet = true;
                    return;
                }
                Err(reason) => self.skipped[reason as usize] += 1,
            }
        }
    }

    /// Returns true if a frame has an IP packet.
    pub fn has_packet(&self) -> bool {
        self.has_packet
    }

    /// Returns the reasons for which frames were not understood, with the number of frames, if none has a packet. It
    /// returns nothing for frames of other protocols than IP, since those are no fault.
    pub fn faults(&self) -> impl Iterator<Item = (Skip, u64)> + '_ {
        let counted = Skip::ALL.iter().copied().zip(self.skipped);
        counted.filter(|&(reason, frames)| !self.has_packet && frames > 0 && reason != Skip::NotIp)
    }
}
