//! The path from a frame to the delta, for live capture and replay alike.
//!
//! A [`Batch`] is a ring block or a part of a capture file. Its frames are decoded one by one. Decoded packets are
//! counted together when up to 64 of a kind have been collected, and at the end of the batch.

use std::net::IpAddr;

use crate::capture::{Batch, Verdict};
use crate::flow::{CountMode, Decoded, Delta, FrameContext, InterfaceDirection};
use crate::packet::{
    Direction, Frame, Skip, Summary, SummarySink, Undelivered, decode_into, decode_quoted,
    reports_undelivered,
};

/// Decoded packets that are not counted yet, and the cached contexts of the interfaces of the batch.
#[derive(Debug)]
pub(super) struct FramePipeline {
    decoded: Decoded,
    contexts: [InterfaceContext; CONTEXTS],
    counts_received: bool,
}

impl FramePipeline {
    /// Makes an empty pipeline. With `counts_received`, packets of a direction for which [`Batch::counts_as_received`]
    /// returns true also count as received.
    pub(super) fn new(counts_received: bool) -> Self {
        Self { decoded: Decoded::default(), contexts: [InterfaceContext::NONE; CONTEXTS], counts_received }
    }

    /// Decodes and counts all frames of a batch.
    #[inline(always)]
    pub(super) fn count_batch<B: Batch>(&mut self, batch: &B, delta: &mut Delta) {
        for frame in batch.frames() {
            self.decode_frame(batch, &frame, delta);
        }
        self.finish(delta);
    }

    /// Decodes a frame of `batch`, which is counted in `delta` at the latest by [`finish`](Self::finish). That must be
    /// called before a frame of another batch is decoded or another delta is used.
    #[inline(always)]
    pub(super) fn decode_frame<B: Batch>(&mut self, batch: &B, frame: &Frame<'_>, delta: &mut Delta) {
        let context = self.context(batch, frame, delta);
        if !B::COUNTS_ALL && context.may_skip {
            match context.verdict {
                Verdict::Skip(skip) => return delta.skip(context.interface_direction, skip),
                _ if !batch.is_for_device_above(frame) => {
                    return delta.skip(context.interface_direction, Skip::OtherStation);
                }
                _ => {}
            }
        }
        if batch.is_own_pppoe(frame) {
            return delta.skip(context.interface_direction, Skip::PppoeTerminatedHere);
        }
        let mut pending = PendingFrame { batch, frame, context, delta, decoded: &mut self.decoded };
        match decode_into(frame, &mut pending) {
            Ok(()) => {}
            // The malformed frame was already reported on the ingress interface, so here it counts as an observed
            // egress frame.
            Err(_) if !B::COUNTS_ALL && context.verdict == Verdict::ObserveOnly => {
                delta.skip(context.interface_direction, Skip::Egress);
            }
            Err(skip) => delta.skip(context.interface_direction, skip),
        }
    }

    /// Counts the decoded packets, and clears the contexts, which are valid only for this batch and this delta.
    pub(super) fn finish(&mut self, delta: &mut Delta) {
        flush(delta, &mut self.decoded);
        self.contexts = [InterfaceContext::NONE; CONTEXTS];
    }

    /// Returns the context of the interface and direction of a frame, from the cache if it is there.
    #[inline(always)]
    fn context<B: Batch>(&mut self, batch: &B, frame: &Frame<'_>, delta: &mut Delta) -> InterfaceContext {
        let key = u64::from(frame.ifindex) << 2 | frame.direction as u64;
        #[allow(clippy::cast_possible_truncation, reason = "only the low bits select the entry")]
        let context = &mut self.contexts[key as usize % CONTEXTS];
        if context.key != key {
            let verdict = batch.verdict(frame.ifindex, frame.direction);
            let counts_as_received = self.counts_received && batch.counts_as_received(frame.direction);
            *context = InterfaceContext {
                key,
                verdict,
                counts: verdict == Verdict::Count,
                may_skip: matches!(verdict, Verdict::Skip(_) | Verdict::CountForDeviceAbove),
                interface_direction: delta.interface_direction(frame.ifindex, frame.direction),
                counts_as_received,
                // Where ingress counts as received, an observed packet was received where it entered.
                observed_counts_as_received: counts_as_received
                    && !batch.counts_as_received(Direction::Ingress),
            };
        }
        *context
    }
}

/// Counts the decoded packets. It is not inlined, which keeps the code of the decoder small.
#[inline(never)]
fn flush(delta: &mut Delta, decoded: &mut Decoded) {
    delta.count_decoded(decoded);
}

/// Number of cache entries: four per interface (three directions, one unused) for sixteen consecutive interface
/// numbers. A context replaces another one in its entry.
const CONTEXTS: usize = 64;

/// What is the same for all frames of a batch that cross an interface in one direction.
#[derive(Clone, Copy, Debug)]
struct InterfaceContext {
    /// The interface number, shifted by two bits, and the direction.
    key: u64,
    verdict: Verdict,
    /// Cached `verdict == Count`; tested per packet.
    counts: bool,
    /// Cached: some or all frames are skipped; tested per frame.
    may_skip: bool,
    interface_direction: InterfaceDirection,
    /// True if the bytes of the packets also count as received by their destinations.
    counts_as_received: bool,
    /// True if the same holds for packets that are only observed.
    observed_counts_as_received: bool,
}

impl InterfaceContext {
    /// An empty cache entry. No interface has its key, since keys of interfaces are below 2^34.
    const NONE: Self = Self {
        key: u64::MAX,
        verdict: Verdict::Count,
        counts: true,
        may_skip: false,
        interface_direction: InterfaceDirection::OVERFLOW_ROW,
        counts_as_received: false,
        observed_counts_as_received: false,
    };
}

/// A frame that is being decoded, and what its packets need to be counted.
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
        if reports_undelivered(&summary) {
            self.note_undelivered(summary.endpoints.dst());
        }
        let InterfaceContext { counts, interface_direction, counts_as_received, .. } = self.context;
        let mut count_mode = CountMode { is_observed_only: false, counts_as_received };
        if !B::COUNTS_ALL && !counts && self.is_observed_only(&summary) {
            let counts_as_received = self.context.observed_counts_as_received;
            count_mode = CountMode { is_observed_only: true, counts_as_received };
        }
        let frame_context = FrameContext { interface_direction, seen_at: self.frame.seen_at, count_mode };
        if self.decoded.push(self.delta, &summary, frame_context) {
            flush(self.delta, self.decoded);
        }
    }
}

impl<B: Batch> PendingFrame<'_, '_, B> {
    /// Returns true if a packet is not counted here, but only evidence of who sent first and of what was answered.
    #[inline]
    fn is_observed_only(&self, summary: &Summary) -> bool {
        match self.context.verdict {
            Verdict::Count | Verdict::CountForDeviceAbove | Verdict::Skip(_) => false,
            Verdict::CountIfOwn => !self.batch.is_own(summary.endpoints.src()),
            Verdict::ObserveOnly => true,
        }
    }

    /// Notes in the delta that the packet quoted by this ICMP error to `dst` was not delivered. Packets that expired
    /// are counted, so an error that is forwarded is noted once: where it leaves, since after NAT only the leaving
    /// frame shows whose packet it quotes.
    #[inline]
    fn note_undelivered(&mut self, dst: IpAddr) {
        let Some(quoted) = decode_quoted(self.frame) else { return };
        let &Frame { ifindex, direction, .. } = self.frame;
        let is_counted_later =
            quoted.cause == Undelivered::Expired && self.batch.is_seen_leaving(ifindex, direction, dst);
        if !is_counted_later {
            self.delta.note_undelivered(&quoted);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::flow::{DeltaLimits, OVERFLOW_IFINDEX, Seed};
    use crate::packet::{LinkKind, Segmentation};
    use crate::time::UnixNanos;

    use super::*;

    /// A batch with one frame of each of these interfaces. Either even or odd interface numbers are skipped.
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

    /// A batch of frames for other stations, of which those on odd interfaces are for a device above.
    struct OtherStations(AlternatingInterfaces);

    impl Batch for OtherStations {
        type Frames<'b> = std::vec::IntoIter<Frame<'b>>;

        fn frames(&self) -> Self::Frames<'_> {
            let frames: Vec<_> =
                self.0.frames().map(|frame| Frame { direction: Direction::OtherHost, ..frame }).collect();
            frames.into_iter()
        }

        fn verdict(&self, _: u32, _: Direction) -> Verdict {
            Verdict::CountForDeviceAbove
        }

        fn is_for_device_above(&self, frame: &Frame<'_>) -> bool {
            !frame.ifindex.is_multiple_of(2)
        }
    }

    #[test]
    fn frames_for_other_stations_are_skipped_unless_a_device_above_has_the_address() {
        let limits = DeltaLimits { pairs_max: 9, ports_max: 0, interfaces_max: 64 };
        let mut delta = Delta::new(limits, Seed::default());
        let interfaces = vec![1, 2, 2, 3];
        let batch = OtherStations(AlternatingInterfaces { interfaces, skips_odd: false });
        FramePipeline::new(false).count_batch(&batch, &mut delta);
        let crossed = delta.interfaces().filter(|&(ifindex, _)| ifindex != OVERFLOW_IFINDEX);
        let seen: BTreeMap<u32, [u64; 2]> = crossed
            .map(|(ifindex, counts)| {
                let counts = &counts.ingress;
                (ifindex, [counts.counted_frames, counts.skipped[Skip::OtherStation as usize]])
            })
            .collect();
        assert_eq!(seen, [(1, [1, 0]), (2, [0, 2]), (3, [1, 0])].into());
    }

    /// An ICMP time exceeded that a gateway forwards: it enters, and leaves with another destination if the gateway
    /// translates addresses. On a host that forwards nothing it only enters.
    struct ForwardedError {
        /// The bytes and the direction of each frame.
        frames: Vec<(Vec<u8>, Direction)>,
        forwards: bool,
    }

    const OWN: [u8; 4] = [10, 0, 0, 254];

    impl ForwardedError {
        fn new(frames: &[([u8; 4], Direction)], forwards: bool) -> Self {
            let packet = |client: [u8; 4]| {
                let header = |len, protocol, src: [u8; 4], dst: [u8; 4]| {
                    [vec![0x45, 0, 0, len, 0, 1, 0, 0, 64, protocol, 0, 0], src.to_vec(), dst.to_vec()]
                        .concat()
                };
                let target = [198, 51, 100, 7];
                let outer = header(56, 1, [192, 0, 2, 1], client);
                [
                    outer,
                    vec![11, 0, 0, 0, 0, 0, 0, 0],
                    header(40, 6, client, target),
                    vec![0x90, 1, 1, 189, 0, 0, 0, 0],
                ]
                .concat()
            };
            let frames = frames.iter().map(|&(client, direction)| (packet(client), direction)).collect();
            Self { frames, forwards }
        }
    }

    impl Batch for ForwardedError {
        type Frames<'b> = std::vec::IntoIter<Frame<'b>>;

        fn frames(&self) -> Self::Frames<'_> {
            let frames = self.frames.iter().map(|(bytes, direction)| Frame {
                bytes,
                frame_len: 56,
                seen_at: UnixNanos(1),
                ifindex: 1,
                link: LinkKind::Ipv4,
                direction: *direction,
                segmentation: Segmentation::None,
            });
            frames.collect::<Vec<_>>().into_iter()
        }

        fn verdict(&self, _: u32, direction: Direction) -> Verdict {
            if direction == Direction::Egress { Verdict::ObserveOnly } else { Verdict::Count }
        }

        fn is_seen_leaving(&self, _: u32, direction: Direction, dst: IpAddr) -> bool {
            self.forwards && direction == Direction::Ingress && dst != IpAddr::from(OWN)
        }
    }

    #[test]
    fn a_packet_that_expired_counts_once_however_often_the_error_is_seen() {
        use Direction::{Egress, Ingress};
        const CLIENT: [u8; 4] = [10, 0, 0, 5];
        /// Name, frames, whether the host forwards, packets that expired by the client.
        type Case = (&'static str, &'static [([u8; 4], Direction)], bool, &'static [([u8; 4], u8)]);
        let cases: [Case; 5] = [
            ("routed", &[(CLIENT, Ingress), (CLIENT, Egress)], true, &[(CLIENT, 1)]),
            ("translated", &[(OWN, Ingress), (CLIENT, Egress)], true, &[(OWN, 1), (CLIENT, 1)]),
            ("to the gateway", &[(OWN, Ingress)], true, &[(OWN, 1), (CLIENT, 0)]),
            ("by the gateway", &[(CLIENT, Egress)], true, &[(CLIENT, 1)]),
            ("to a plain host, or in a mirror", &[(CLIENT, Ingress)], false, &[(CLIENT, 1)]),
        ];
        for (name, frames, forwards, expected) in cases {
            let limits = DeltaLimits { pairs_max: 9, ports_max: 0, interfaces_max: 64 };
            let mut delta = Delta::new(limits, Seed::default());
            FramePipeline::new(false).count_batch(&ForwardedError::new(frames, forwards), &mut delta);
            for &(client, expiries) in expected {
                let mut rows = delta.pairs_v4().iter();
                let row = rows.find(|row| IpAddr::V4(row.key.src) == IpAddr::from(client));
                let counted = row.map_or(0, |row| row.value.observations.expiries());
                assert_eq!(counted, expiries, "{name}: {client:?}");
            }
        }
    }

    /// There are more interfaces than cache entries. The next batch has other verdicts for them, and the next delta has
    /// its rows in another order.
    #[test]
    fn a_context_is_valid_for_one_batch_and_one_delta() {
        let limits = DeltaLimits { pairs_max: 9, ports_max: 0, interfaces_max: 64 };
        let mut delta = Delta::new(limits, Seed::default());
        let mut pipeline = FramePipeline::new(false);
        let ascending: Vec<u32> = (1..50).collect();
        let descending: Vec<u32> = ascending.iter().rev().copied().collect();
        for (order, skips_odd) in [(&ascending, false), (&descending, true), (&ascending, true)] {
            let interfaces = [order.as_slice(), order].concat();
            pipeline.count_batch(&AlternatingInterfaces { interfaces, skips_odd }, &mut delta);
            let crossed = delta.interfaces().filter(|&(ifindex, _)| ifindex != OVERFLOW_IFINDEX);
            let seen: BTreeMap<u32, [u64; 2]> = crossed
                .map(|(ifindex, counts)| {
                    let counts = if ifindex < 30 { &counts.ingress } else { &counts.egress };
                    (ifindex, [counts.counted_frames, counts.skipped[Skip::ExcludedInterface as usize]])
                })
                .collect();
            let expected =
                |ifindex: u32| if ifindex.is_multiple_of(2) == skips_odd { [2, 0] } else { [0, 2] };
            assert_eq!(seen, ascending.iter().map(|&ifindex| (ifindex, expected(ifindex))).collect());
            delta.clear();
        }
    }
}
