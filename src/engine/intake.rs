//! From a frame to the delta, for live capture and replay alike: decode some, then count them together.

use crate::capture::{Batch, Standing};
use crate::flow::{Crossing, Decoded, Delta, Purpose};
use crate::packet::{Frame, Skip, Summary, Take, decode_into, decode_quoted, is_unreachable};

/// Decoded packets on their way into a delta.
#[derive(Debug)]
pub(super) struct Intake {
    decoded: Decoded,
    counts_received: bool,
}

impl Intake {
    /// With `counts_received`, what arrives by the word of its batch is counted as received.
    pub(super) fn new(counts_received: bool) -> Self {
        Self { decoded: Decoded::default(), counts_received }
    }

    /// Takes a frame of `batch`. It is in `delta` at the latest after [`flush`](Self::flush).
    #[inline(always)]
    pub(super) fn take<B: Batch>(&mut self, batch: &B, frame: &Frame<'_>, delta: &mut Delta) {
        let standing = batch.standing(frame);
        let crossing = delta.crossing(frame.ifindex, frame.direction);
        if let Standing::Skipped(skip) = standing {
            return delta.skip(crossing, skip);
        }
        if batch.is_own_pppoe(frame) {
            return delta.skip(crossing, Skip::PppoeTerminatedHere);
        }
        let is_received = self.counts_received && batch.arrives(frame);
        let counts = standing == Standing::Counts;
        let decoded = &mut self.decoded;
        let mut taking = Taking { batch, frame, standing, counts, crossing, is_received, delta, decoded };
        let decoded = decode_into(frame, &mut taking);
        match decoded {
            Ok(()) if self.decoded.is_full() => self.flush(delta),
            Ok(()) => {}
            // Malformed or not, what leaves is judged where it entered.
            Err(_) if standing == Standing::Evidence => delta.skip(crossing, Skip::Leaving),
            Err(skip) => delta.skip(crossing, skip),
        }
    }

    /// Counts what was decoded.
    #[inline(never)]
    pub(super) fn flush(&mut self, delta: &mut Delta) {
        delta.take_all(&mut self.decoded);
    }
}

/// A frame whose summary is awaited.
struct Taking<'t, 'f, B> {
    batch: &'t B,
    frame: &'t Frame<'f>,
    standing: Standing,
    /// It is counted, whoever sent it.
    counts: bool,
    crossing: Crossing,
    is_received: bool,
    delta: &'t mut Delta,
    decoded: &'t mut Decoded,
}

impl<B: Batch> Take for Taking<'_, '_, B> {
    #[inline(always)]
    fn take(&mut self, summary: Summary) {
        if is_unreachable(&summary) {
            self.note_unreachable();
        }
        let is_evidence = !self.counts && self.is_evidence(&summary);
        let purpose = Purpose { is_evidence, is_received: self.is_received };
        self.decoded.push(self.delta, self.crossing, &summary, self.frame.seen_at, purpose);
    }
}

impl<B: Batch> Taking<'_, '_, B> {
    #[inline]
    fn is_evidence(&self, summary: &Summary) -> bool {
        match self.standing {
            Standing::Counts | Standing::Skipped(_) => false,
            Standing::CountsIfOwn => !self.batch.is_own(summary.endpoints.src()),
            Standing::Evidence => true,
        }
    }

    #[inline]
    fn note_unreachable(&mut self) {
        if let Some(quoted) = decode_quoted(self.frame) {
            self.delta.note_unreachable(&quoted);
        }
    }
}
