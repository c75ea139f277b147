//! The hand-over of deltas: two boxed deltas per worker circulate through two lock-free cells.
//!
//! ```text
//!              full -->  [cell]  --> taken by the analyst, folded, cleared
//!   worker                                                        |
//!              spare <-- [cell]  <---------------------------------
//! ```
//!
//! Ownership moves with the box, so neither end can read the other's counts. `AtomicCell` makes one atomic swap of a
//! pointer-sized value (asserted below), which orders the accesses to the delta. Neither end ever waits.

use std::fmt;
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicCell, AtomicU64, Ordering};
use crate::time::Moment;

use super::delta::Delta;

const _: () = assert!(AtomicCell::<Option<Box<Delta>>>::is_lock_free(), "the hand-over would lock");

/// The value of `settled` while the delta of a worker is empty and its ring was empty when it last checked.
const IDLE: u64 = u64::MAX;

struct HandoverCells {
    full: CachePadded<AtomicCell<Option<Box<Delta>>>>,
    spare: CachePadded<AtomicCell<Option<Box<Delta>>>>,
    /// Nanoseconds of the moment up to which the worker has handed over everything, or [`IDLE`].
    settled: CachePadded<AtomicU64>,
}

impl fmt::Debug for HandoverCells {
    /// Leaves out the deltas, because reading a cell removes its content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cells").field("settled", &self.settled).finish_non_exhaustive()
    }
}

/// The worker's end.
#[derive(Debug)]
pub struct WorkerEnd(Arc<HandoverCells>);

/// The analyst's end.
#[derive(Debug)]
pub struct AnalystEnd(Arc<HandoverCells>);

/// The time up to which a worker has handed over everything that it read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandedOver {
    /// Everything that was read before this moment is handed over.
    Until(Moment),
    /// The delta of the worker is empty, and so was its ring when it last checked.
    Idle,
}

/// Makes the two ends of a worker's hand-over. `spare` is the delta that waits for the first swap.
pub fn handover(spare: Box<Delta>) -> (WorkerEnd, AnalystEnd) {
    let cells = Arc::new(HandoverCells {
        full: CachePadded::new(AtomicCell::new(None)),
        spare: CachePadded::new(AtomicCell::new(Some(spare))),
        settled: CachePadded::new(AtomicU64::new(IDLE)),
    });
    (WorkerEnd(Arc::clone(&cells)), AnalystEnd(cells))
}

impl WorkerEnd {
    /// Takes the empty delta; `None` if the analyst has not given it back. The worker then keeps counting into the
    /// delta that it has, so the tick gets longer and nothing is lost. Never blocks, never allocates.
    pub fn take_spare(&self) -> Option<Box<Delta>> {
        self.0.spare.take()
    }

    /// Hands over a closed delta to the analyst. The spare must have been taken before. Never blocks, never allocates.
    ///
    /// # Panics
    /// Panics if the spare was not taken before, or if the delta is not closed.
    pub fn give(&self, mut delta: Box<Delta>, now: Moment) {
        assert!(delta.is_closed(), "some of what it counted is not in its rows");
        delta.handed_over_at = now;
        // Two boxes circulate: the spare was in its cell, so nothing can be waiting in the other.
        let unread = self.0.full.swap(Some(delta));
        assert!(unread.is_none(), "a third delta is in circulation");
        self.mark_busy(now);
    }

    /// Marks the worker idle: its delta and its ring are empty. The worker calls it before it waits.
    pub fn mark_idle(&self) {
        self.0.settled.store(IDLE, Ordering::Release);
    }

    /// Marks the worker busy: it may have frames that came since `now`, and has handed over all earlier ones.
    pub fn mark_busy(&self, now: Moment) {
        // Release: an analyst that reads this value also finds the delta that was handed over before it.
        self.0.settled.store(now.0.min(IDLE - 1), Ordering::Release);
    }
}

impl AnalystEnd {
    /// Returns the time up to which everything is handed over. Call it before [`take`](Self::take), so that the deltas
    /// taken contain everything up to that time.
    pub fn settled(&self) -> HandedOver {
        // Acquire: pairs with the stores of the worker's end; see `mark_busy`.
        match self.0.settled.load(Ordering::Acquire) {
            IDLE => HandedOver::Idle,
            until => HandedOver::Until(Moment(until)),
        }
    }

    /// Takes the delta that was handed over; `None` if there is none.
    pub fn take(&self) -> Option<Box<Delta>> {
        self.0.full.take()
    }

    /// Clears a folded delta and gives it back to the worker.
    ///
    /// # Panics
    /// Panics if the worker's spare was not taken.
    pub fn give_back(&self, mut delta: Box<Delta>) {
        delta.clear();
        let extra = self.0.spare.swap(Some(delta));
        assert!(extra.is_none(), "a third delta is in circulation");
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::thread;

    use crate::flow::hash::Seed;
    use crate::flow::{DeltaLimits, InterfaceDirection};
    use crate::packet::{Endpoints, Summary, Transport};
    use crate::time::UnixNanos;

    use super::*;

    fn empty() -> Box<Delta> {
        Box::new(Delta::new(DeltaLimits { pairs_max: 8, ports_max: 0, interfaces_max: 1 }, Seed::default()))
    }

    fn packet(dst: u32) -> Summary {
        let endpoints = Endpoints::V4 { src: Ipv4Addr::new(10, 0, 0, 1), dst: Ipv4Addr::from_bits(dst % 4) };
        let transport = Transport::Other;
        Summary::plain(endpoints, 20, 47, transport)
    }

    #[test]
    fn without_a_spare_the_worker_keeps_its_delta() {
        let (worker, analyst) = handover(empty());
        assert_eq!(analyst.settled(), HandedOver::Idle);
        let mut delta = empty();
        delta.count(InterfaceDirection::default(), &packet(1), UnixNanos(1));
        let mut second = worker.take_spare().expect("the spare is there");
        worker.give(delta, Moment(5));
        assert_eq!(analyst.settled(), HandedOver::Until(Moment(5)));
        second.count(InterfaceDirection::default(), &packet(2), UnixNanos(2));
        assert!(worker.take_spare().is_none(), "both deltas are out");
        let taken = analyst.take().expect("the first delta waits");
        assert_eq!(taken.handed_over_at, Moment(5));
        analyst.give_back(taken);
        assert!(worker.take_spare().expect("the spare is back").is_empty());
    }

    /// With two threads, each packet is folded exactly once in any interleaving.
    #[test]
    fn nothing_is_lost_or_doubled_between_threads() {
        const PACKETS: u32 = 200_000;
        let (worker, analyst) = handover(empty());
        let counting = thread::spawn(move || {
            let mut delta = empty();
            for n in 0..PACKETS {
                delta.count(InterfaceDirection::default(), &packet(n), UnixNanos(u64::from(n)));
                if let Some(spare) = worker.take_spare() {
                    worker.give(std::mem::replace(&mut delta, spare), Moment(u64::from(n)));
                }
            }
            delta
        });
        let mut packets = 0;
        let mut rows = 0;
        let mut fold = |delta: &Delta| {
            packets += delta.accounting().ip_packets;
            rows += delta.pairs_v4().iter().map(|row| row.value.packets()).sum::<u64>();
        };
        while !counting.is_finished() {
            if let Some(delta) = analyst.take() {
                fold(&delta);
                analyst.give_back(delta);
            }
            thread::yield_now();
        }
        fold(&counting.join().expect("the counting thread"));
        if let Some(delta) = analyst.take() {
            fold(&delta);
        }
        assert_eq!((packets, rows), (u64::from(PACKETS), u64::from(PACKETS)));
    }
}
