//! From a frame to the delta, for live capture and replay alike: decode some, then count them together.

use crate::capture::{Batch, Standing};
use crate::flow::{Crossing, Decoded, Delta, Purpose};
use crate::packet::{Frame, Skip, Summary, Take, decode_into, decode_quoted, is_unreachable};

/// Decoded packets on their way into a delta, and what is known of the ways that frames of a batch take.
#[derive(Debug)]
pub(super) struct Intake {
    decoded: Decoded,
    ways: [Way; WAYS],
    counts_received: bool,
}

impl Intake {
    /// With `counts_received`, what arrives by the word of its batch is counted as received.
    pub(super) fn new(counts_received: bool) -> Self {
        Self { decoded: Decoded::default(), ways: [Way::NONE; WAYS], counts_received }
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
        let way = self.way(batch, frame, delta);
        if let Standing::Skipped(skip) = way.standing {
            return delta.skip(way.crossing, skip);
        }
        if batch.is_own_pppoe(frame) {
            return delta.skip(way.crossing, Skip::PppoeTerminatedHere);
        }
        let mut taking = Taking { batch, frame, way, delta, decoded: &mut self.decoded };
        let decoded = decode_into(frame, &mut taking);
        match decoded {
            Ok(()) if self.decoded.is_full() => self.flush(delta),
            Ok(()) => {}
            // Malformed or not, what leaves is judged where it entered.
            Err(_) if way.standing == Standing::Evidence => delta.skip(way.crossing, Skip::Leaving),
            Err(skip) => delta.skip(way.crossing, skip),
        }
    }

    /// Counts what was taken. What is known of its ways goes for no other batch and no other delta.
    pub(super) fn finish(&mut self, delta: &mut Delta) {
        self.flush(delta);
        self.ways = [Way::NONE; WAYS];
    }

    #[inline(never)]
    fn flush(&mut self, delta: &mut Delta) {
        delta.take_all(&mut self.decoded);
    }

    #[inline(always)]
    fn way<B: Batch>(&mut self, batch: &B, frame: &Frame<'_>, delta: &mut Delta) -> Way {
        let key = u64::from(frame.ifindex) << 2 | frame.direction as u64;
        // Cut on purpose.
        let way = &mut self.ways[key as usize % WAYS];
        if way.key != key {
            let standing = batch.standing(frame.ifindex, frame.direction);
            *way = Way {
                key,
                standing,
                counts: standing == Standing::Counts,
                crossing: delta.crossing(frame.ifindex, frame.direction),
                is_received: self.counts_received && batch.arrives(frame.direction),
            };
        }
        *way
    }
}

/// Interfaces that are busy at a time, times the directions of each.
const WAYS: usize = 16;

/// What goes for all frames of a batch that cross an interface in one direction.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Interface and direction.
    key: u64,
    standing: Standing,
    /// They are counted, whoever sent them.
    counts: bool,
    crossing: Crossing,
    is_received: bool,
}

impl Way {
    /// Its key is of no interface: theirs end far below.
    const NONE: Self = Self {
        key: u64::MAX,
        standing: Standing::Counts,
        counts: true,
        crossing: Crossing::ELSEWHERE,
        is_received: false,
    };
}

/// A frame whose summary is awaited.
struct Taking<'t, 'f, B> {
    batch: &'t B,
    frame: &'t Frame<'f>,
    way: Way,
    delta: &'t mut Delta,
    decoded: &'t mut Decoded,
}

impl<B: Batch> Take for Taking<'_, '_, B> {
    #[inline(always)]
    fn take(&mut self, summary: Summary) {
        if is_unreachable(&summary) {
            self.note_unreachable();
        }
        let Way { counts, crossing, is_received, .. } = self.way;
        let is_evidence = !counts && self.is_evidence(&summary);
        let purpose = Purpose { is_evidence, is_received };
        self.decoded.push(self.delta, crossing, &summary, self.frame.seen_at, purpose);
    }
}

impl<B: Batch> Taking<'_, '_, B> {
    #[inline]
    fn is_evidence(&self, summary: &Summary) -> bool {
        match self.way.standing {
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
