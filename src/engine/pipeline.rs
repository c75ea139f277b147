//! From a frame to the delta, for live capture and replay alike: decodes a batch of packets, then counts them together.

use crate::capture::{Batch, Verdict};
use crate::flow::{Arrival, CountMode, Decoded, Delta, InterfaceDirection};
use crate::packet::{Frame, Skip, Summary, SummarySink, decode_into, decode_quoted, reports_unreachable};

/// Decoded packets that are not counted yet, and what holds for the interfaces of the batch.
#[derive(Debug)]
pub(super) struct FramePipeline {
    decoded: Decoded,
    contexts: [InterfaceContext; CONTEXTS],
    counts_received: bool,
}

impl FramePipeline {
    /// With `counts_received`, a packet that its batch takes for arriving is counted as received.
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

    /// Decodes a frame of `batch`. It is counted in `delta` by [`finish`](Self::finish) at the latest, which must be
    /// called before another batch or another delta.
    #[inline(always)]
    pub(super) fn take<B: Batch>(&mut self, batch: &B, frame: &Frame<'_>, delta: &mut Delta) {
        let context = self.context(batch, frame, delta);
        if let Verdict::Skip(skip) = context.verdict {
            return delta.skip(context.interface_direction, skip);
        }
        if batch.is_own_pppoe(frame) {
            return delta.skip(context.interface_direction, Skip::PppoeTerminatedHere);
        }
        let mut pending = PendingFrame { batch, frame, context, delta, decoded: &mut self.decoded };
        match decode_into(frame, &mut pending) {
            Ok(()) => {}
            // A malformed frame that leaves is a skip of the interface that it entered by.
            Err(_) if context.verdict == Verdict::ObserveOnly => {
                delta.skip(context.interface_direction, Skip::Egress);
            }
            Err(skip) => delta.skip(context.interface_direction, skip),
        }
    }

    /// Counts the decoded packets, and forgets what holds for this batch and delta only.
    pub(super) fn finish(&mut self, delta: &mut Delta) {
        flush(delta, &mut self.decoded);
        self.contexts = [InterfaceContext::NONE; CONTEXTS];
    }

    #[inline(always)]
    fn context<B: Batch>(&mut self, batch: &B, frame: &Frame<'_>, delta: &mut Delta) -> InterfaceContext {
        let key = u64::from(frame.ifindex) << 2 | frame.direction as u64;
        #[allow(clippy::cast_possible_truncation, reason = "only the low bits select the slot")]
        let context = &mut self.contexts[key as usize % CONTEXTS];
        if context.key != key {
            let verdict = batch.verdict(frame.ifindex, frame.direction);
            *context = InterfaceContext {
                key,
                verdict,
                counts: verdict == Verdict::Count,
                interface_direction: delta.interface_direction(frame.ifindex, frame.direction),
                is_received: self.counts_received && batch.counts_as_received(frame.direction),
            };
        }
        *context
    }
}

/// Counts the decoded packets. It is not inlined, which keeps the code of the decoder small.
#[inline(never)]
fn flush(delta: &mut Delta, decoded: &mut Decoded) {
    delta.take_all(decoded);
}

/// Slots for interfaces and directions: four, one of them per direction, for each of sixteen consecutive interfaces.
const CONTEXTS: usize = 64;

/// What holds for all frames of a batch that cross an interface in one direction.
#[derive(Clone, Copy, Debug)]
struct InterfaceContext {
    /// Interface number and direction.
    key: u64,
    verdict: Verdict,
    /// Cached `verdict == Count`; tested per packet.
    counts: bool,
    interface_direction: InterfaceDirection,
    is_received: bool,
}

impl InterfaceContext {
    /// The context of no interface: keys of interfaces are far smaller.
    const NONE: Self = Self {
        key: u64::MAX,
        verdict: Verdict::Count,
        counts: true,
        interface_direction: InterfaceDirection::ELSEWHERE,
        is_received: false,
    };
}

/// A frame on its way through the decoder.
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
        if reports_unreachable(&summary) {
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

    /// More interfaces alternate than there are slots; the next batch has other verdicts for them, and the next delta
    /// another order of rows.
    #[test]
    fn a_context_lasts_for_a_batch_and_a_delta() {
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
