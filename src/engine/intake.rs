//! From a frame to the delta, for live capture and replay alike: decode some, then count them together.

use crate::capture::{Batch, Standing};
use crate::flow::{Crossing, Delta};
use crate::packet::{Frame, Skip, Summary, decode, decode_quoted, is_unreachable};
use crate::time::UnixNanos;

/// Frames that are decoded before they are counted. Their summaries stay in the first-level cache while
/// neither half of the work evicts the other's code.
const TOGETHER: usize = 64;

/// Decoded packets on their way into a delta.
#[derive(Debug)]
pub(super) struct Intake {
    decoded: Vec<Decoded>,
    counts_received: bool,
}

#[derive(Clone, Copy, Debug)]
struct Decoded {
    crossing: Crossing,
    summary: Summary,
    seen_at: UnixNanos,
    is_evidence: bool,
    is_received: bool,
}

impl Intake {
    /// With `counts_received`, what arrives by the word of its batch is counted as received.
    pub(super) fn new(counts_received: bool) -> Self {
        Self { decoded: Vec::with_capacity(TOGETHER), counts_received }
    }

    /// Takes a frame of `batch`. It is in `delta` at the latest after [`flush`](Self::flush).
    #[inline]
    pub(super) fn take<B: Batch>(&mut self, batch: &B, frame: &Frame<'_>, delta: &mut Delta) {
        let standing = batch.standing(frame);
        let crossing = delta.crossing(frame.ifindex, frame.direction);
        if let Standing::Skipped(skip) = standing {
            return delta.skip(crossing, skip);
        }
        if batch.is_own_pppoe(frame) {
            return delta.skip(crossing, Skip::PppoeTerminatedHere);
        }
        let summary = match decode(frame) {
            Ok(summary) => summary,
            // Malformed or not, what leaves is judged where it entered.
            Err(_) if standing == Standing::Evidence => return delta.skip(crossing, Skip::Leaving),
            Err(skip) => return delta.skip(crossing, skip),
        };
        if is_unreachable(&summary)
            && let Some(quoted) = decode_quoted(frame)
        {
            delta.note_unreachable(&quoted);
        }
        let is_evidence = match standing {
            Standing::Counts | Standing::Skipped(_) => false,
            Standing::CountsIfOwn => !batch.is_own(summary.endpoints.src()),
            Standing::Evidence => true,
        };
        let is_received = self.counts_received && batch.arrives(frame);
        let seen_at = frame.seen_at;
        self.decoded.push(Decoded { crossing, summary, seen_at, is_evidence, is_received });
        if self.decoded.len() == TOGETHER {
            self.flush(delta);
        }
    }

    /// Counts what was decoded.
    pub(super) fn flush(&mut self, delta: &mut Delta) {
        for Decoded { crossing, summary, seen_at, is_evidence, is_received } in self.decoded.drain(..) {
            if is_evidence {
                delta.note_evidence(crossing, &summary, seen_at, Skip::Leaving);
            } else {
                delta.count(crossing, &summary, seen_at);
            }
            if is_received {
                delta.receive(&summary);
            }
        }
    }
}
