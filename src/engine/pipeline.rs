//! From a frame to the delta, for live capture and replay alike: decode some, then count them together.

use crate::capture::{Batch, Verdict};
use crate::flow::{Arrival, CountMode, Decoded, Delta, InterfaceDirection};
use crate::packet::{Frame, Skip, Summary, SummarySink, decode_into, decode_quoted, is_unreachable};

/// Decoded packets on their way into a delta, and what is known of the ways that frames of a batch take.
#[derive(Debug)]
pub(super) struct FramePipeline {
    decoded: Decoded,
    contexts: [InterfaceContext; CONTEXTS],
    counts_received: bool,
}

impl FramePipeline {
    /// With `counts_received`, what arrives by the word of its batch is counted as received.
    pub(super) fn new(counts_received: bool) -> Self {
        Self { decoded: Decoded::default(), contexts: [InterfaceContext::NONE; CONTEXTS], counts_received }
    }

    /// Takes all frames of a batch.
    #[inline(always)]
    pub(super) fn take_all<B: Batch>(&mut self, batch: &B, delta: &mut Delta) {
        for frame in batch.frames() {
            self.take(batch, &frame, delta);
        }
        self.finish(delta);
    }

    /// Takes a frame of `batch`. It is in `delta` after [`finish`](Self::finish), without which there is no other batch
    /// and no other delta.
    #[inline(always)]
    pub(super) fn take<B: Batch>(&mut self, batch: &B, frame: &Frame<'_>, delta: &mut Delta) {
        let context = self.context(batch, frame, delta);
        if let Verdict::Skip(skip) = context.verdict {
            return delta.skip(context.interface_direction, skip);
        }
        if batch.is_own_pppoe(frame) {
            return delta.skip(context.interface_direction, Skip::PppoeTerminatedHere);
        }
        let mut taking = PendingFrame { batch, frame, context, delta, decoded: &mut self.decoded };
        match decode_into(frame, &mut taking) {
            Ok(()) => {}
            // Malformed or not, what leaves is judged where it entered.
            Err(_) if context.verdict == Verdict::ObserveOnly => {
                delta.skip(context.interface_direction, Skip::Egress);
            }
            Err(skip) => delta.skip(context.interface_direction, skip),
        }
    }

    /// Counts what was taken. What is known of its ways goes for no other batch and no other delta.
    pub(super) fn finish(&mut self, delta: &mut Delta) {
        flush(delta, &mut self.decoded);
        self.contexts = [InterfaceContext::NONE; CONTEXTS];
    }

    #[inline(always)]
    fn context<B: Batch>(&mut self, batch: &B, frame: &Frame<'_>, delta: &mut Delta) -> InterfaceContext {
        let key = u64::from(frame.ifindex) << 2 | frame.direction as u64;
        // Cut on purpose.
        let context = &mut self.contexts[key as usize % CONTEXTS];
        if context.key != key {
            let verdict = batch.verdict(frame.ifindex, frame.direction);
            *context = InterfaceContext {
                key,
                verdict,
                counts: verdict == Verdict::Count,
                interface_direction: delta.interface_direction(frame.ifindex, frame.direction),
                is_received: self.counts_received && batch.arrives(frame.direction),
            };
        }
        *context
    }
}

/// Counts what was taken; its code would only be in the way of the decoder's.
#[inline(never)]
fn flush(delta: &mut Delta, decoded: &mut Decoded) {
    delta.take_all(decoded);
}

/// Four, of which a direction takes one, for each of sixteen interfaces whose numbers follow each other.
const CONTEXTS: usize = 64;

/// What goes for all frames of a batch that cross an interface in one direction.
#[derive(Clone, Copy, Debug)]
struct InterfaceContext {
    /// Interface and direction.
    key: u64,
    verdict: Verdict,
    /// They are counted, whoever sent them. Each packet asks, and one bit is read faster than a standing is told.
    counts: bool,
    interface_direction: InterfaceDirection,
    is_received: bool,
}

impl InterfaceContext {
    /// Its key is of no interface: theirs end far below.
    const NONE: Self = Self {
        key: u64::MAX,
        verdict: Verdict::Count,
        counts: true,
        interface_direction: InterfaceDirection::ELSEWHERE,
        is_received: false,
    };
}

/// A frame whose summary is awaited.
struct PendingFrame<'t, 'f, B> {
    batch: &'t B,
    frame: &'t Frame<'f>,
    context: InterfaceContext,
    delta: &'t mut Delta,
    decoded: &'t mut Decoded,
}

impl<B: Batch> SummarySink for PendingFrame<'_, '_, B> {
    #[inline(always)]
    fn take(&mut self, summary: Summary) {
        if is_unreachable(&summary) {
            self.note_unreachable();
        }
        let InterfaceContext { counts, interface_direction, is_received, .. } = self.context;
        let is_evidence = !counts && self.is_evidence(&summary);
        let count_mode = CountMode { is_evidence, is_received };
        let arrival = Arrival { interface_direction, seen_at: self.frame.seen_at, count_mode };
        if self.decoded.push(self.delta, &summary, arrival) {
            flush(self.delta, self.decoded);
        }
    }
}

impl<B: Batch> PendingFrame<'_, '_, B> {
    #[inline]
    fn is_evidence(&self, summary: &Summary) -> bool {
        match self.context.verdict {
            Verdict::Count | Verdict::Skip(_) => false,
            Verdict::CountIfOwn => !self.batch.is_own(summary.endpoints.src()),
            Verdict::ObserveOnly => true,
        }
    }

    #[inline]
    fn note_unreachable(&mut self) {
        if let Some(quoted) = decode_quoted(self.frame) {
            self.delta.note_unreachable(&quoted);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::flow::{DeltaLimits, ELSEWHERE, Seed};
    use crate::packet::{Direction, LinkKind, Segmentation};
    use crate::time::UnixNanos;

    use super::*;

    /// Frames of these interfaces, those with an even number skipped or those with an odd one.
    struct AlternatingInterfaces {
        interfaces: Vec<u32>,
        skips_odd: bool,
    }

    const UDP: [u8; 28] = {
        let mut packet = [0; 28];
        [packet[0], packet[3], packet[9], packet[15], packet[19]] = [0x45, 28, 17, 1, 2];
        packet
    };

    impl Batch for AlternatingInterfaces {
        type Frames<'b> = std::vec::IntoIter<Frame<'b>>;

        fn frames(&self) -> Self::Frames<'_> {
            let frame = |&ifindex: &u32| Frame {
                bytes: &UDP,
                frame_len: 28,
                seen_at: UnixNanos(1),
                ifindex,
                link: LinkKind::Ipv4,
                direction: if ifindex < 30 { Direction::Ingress } else { Direction::Egress },
                segmentation: Segmentation::None,
            };
            self.interfaces.iter().map(frame).collect::<Vec<_>>().into_iter()
        }

        fn verdict(&self, ifindex: u32, _: Direction) -> Verdict {
            let is_skipped = ifindex.is_multiple_of(2) != self.skips_odd;
            if is_skipped { Verdict::Skip(Skip::ExcludedInterface) } else { Verdict::Count }
        }
    }

    /// More interfaces take turns than are remembered; the next batch has other things to say of them, and the next
    /// delta another order of rows.
    #[test]
    fn what_is_known_of_a_way_lasts_for_a_batch_and_a_delta() {
        let limits = DeltaLimits { pairs_max: 9, ports_max: 0, interfaces_max: 64 };
        let mut delta = Delta::new(limits, Seed::default());
        let mut pipeline = FramePipeline::new(false);
        let there: Vec<u32> = (1..50).collect();
        let back: Vec<u32> = there.iter().rev().copied().collect();
        for (order, skips_odd) in [(&there, false), (&back, true), (&there, true)] {
            let interfaces = [order.as_slice(), order].concat();
            pipeline.take_all(&AlternatingInterfaces { interfaces, skips_odd }, &mut delta);
            let crossed = delta.interfaces().filter(|&(ifindex, _)| ifindex != ELSEWHERE);
            let seen: BTreeMap<u32, [u64; 2]> = crossed
                .map(|(ifindex, counts)| {
                    let context = if ifindex < 30 { &counts.ingress } else { &counts.egress };
                    (ifindex, [context.counted_frames, context.skipped[Skip::ExcludedInterface as usize]])
                })
                .collect();
            let of = |ifindex: u32| if ifindex.is_multiple_of(2) == skips_odd { [2, 0] } else { [0, 2] };
            assert_eq!(seen, there.iter().map(|&ifindex| (ifindex, of(ifindex))).collect());
            delta.clear();
        }
    }
}
