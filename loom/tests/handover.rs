//! Every interleaving of a worker, the analyst and the end of the program over one hand-over.
//!
//! The ends are those that ship. What the threads do with them is written here once more, in the order in which
//! `engine/worker.rs`, `engine/analyst_thread.rs` and `RunningEngine::stop` of `engine/live.rs` do it, since those
//! need a packet ring and a clock: whoever changes an order there changes it here.
//!
//! Asserted in every interleaving:
//!
//! * each packet is folded once. The last delta may be folded before the one that waits in the cell: the analyst may
//!   have found the cell empty before both came. Sums do not depend on that order;
//! * two deltas circulate, and both are there at the end;
//! * no access to a delta races with another (`flow/delta.rs` tells loom of each);
//! * when the analyst has read [`HandedOver`] and then folded what it took, it has folded every packet that the worker
//!   had counted when it stored that value, but those that a busy worker may hold.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use traffic_alerted_loom::flow::delta::Delta;
use traffic_alerted_loom::flow::handover::{AnalystEnd, HandedOver, WorkerEnd, handover};
use traffic_alerted_loom::sync::AtomicCell;
use traffic_alerted_loom::time::Moment;

/// What a worker does in one turn of its loop.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// It reads a packet, and its tick has not ended.
    Packet,
    /// It reads a packet, and the tick has ended.
    PacketAndTick,
    /// The ring is empty, and the tick has ended: it hands over what was counted, and is idle if it holds nothing.
    EmptyRing,
}

use Turn::{EmptyRing, Packet, PacketAndTick};

/// The channel for the delta that a worker holds when it ends, of which there is one here. loom's own channel is not
/// used: loom does not notice that `try_recv` depends on `send`, and so leaves out interleavings of the two.
type Channel = AtomicCell<Option<Box<Delta>>>;

/// What the worker had handed over when it stored a value for [`AnalystEnd::settled`].
#[derive(Debug)]
struct Claim {
    settled: HandedOver,
    /// How many packets.
    packets: usize,
    /// Written before the value is stored, read when it has been loaded: loom fails the model where the one does not
    /// happen before the other. loom itself runs a thread's operations in the order of the program, so this is what
    /// notices a store or a load that a processor may move.
    written: UnsafeCell<()>,
}

/// All claims, oldest first. The mutex orders nothing in the model, which knows nothing of it.
#[derive(Debug, Default)]
struct Claims(Mutex<Vec<Claim>>);

impl Claims {
    /// Notes what is claimed by a value that is stored next.
    fn note(&self, settled: HandedOver, packets: usize) {
        let claim = Claim { settled, packets, written: UnsafeCell::new(()) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
    }

    /// The packets that a loaded value claims. Each moment is stored once; of several times that the worker went idle,
    /// nobody knows which one was read, and the first claims the least.
    fn packets(&self, loaded: HandedOver) -> usize {
        let claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let claim = claims.iter().find(|claim| claim.settled == loaded).expect("it was stored");
        claim.written.with(|_| ());
        claim.packets
    }
}

/// In how many interleavings something came about: a model in which it never does proves nothing of it.
#[derive(Debug, Default)]
struct Seen {
    /// All of them.
    interleavings: AtomicUsize,
    /// The spare was not back in time.
    late: AtomicUsize,
    /// The analyst took a delta from the cell before it was asked to stop.
    taken: AtomicUsize,
    /// A moment claimed that packets were handed over, which the analyst had yet to take.
    until: AtomicUsize,
    /// An idle worker claimed so.
    idle: AtomicUsize,
    /// The worker ended with packets that it had not handed over.
    left: AtomicUsize,
}

impl Seen {
    fn note(counter: &AtomicUsize) {
        counter.fetch_add(1, Relaxed);
    }
}

/// `engine::worker::Worker`, with a clock that shows another moment at each look.
struct Worker {
    end: WorkerEnd,
    delta: Box<Delta>,
    clock: u64,
    /// How many packets it has counted.
    counted: usize,
    claims: Arc<Claims>,
    seen: Arc<Seen>,
}

impl Worker {
    fn run(mut self, turns: &[Turn]) -> Self {
        for turn in turns {
            match turn {
                Packet => self.read_packet(),
                PacketAndTick => {
                    self.read_packet();
                    self.hand_over();
                }
                EmptyRing => {
                    if !self.delta.packets().is_empty() {
                        self.hand_over();
                    }
                    if self.delta.packets().is_empty() {
                        self.claims.note(HandedOver::Idle, self.counted);
                        self.end.mark_idle();
                    }
                }
            }
        }
        self.delta.close();
        self.delta.handed_over_at = self.now();
        self
    }

    fn now(&mut self) -> Moment {
        self.clock += 1;
        Moment(self.clock)
    }

    fn read_packet(&mut self) {
        if self.delta.packets().is_empty() {
            let now = self.now();
            self.claims.note(HandedOver::Until(now), self.counted);
            self.end.mark_busy(now);
        }
        self.counted += 1;
        self.delta.count(self.counted);
    }

    fn hand_over(&mut self) {
        let Some(spare) = self.end.take_spare() else {
            Seen::note(&self.seen.late);
            return;
        };
        assert!(spare.packets().is_empty(), "what was folded would be folded again");
        self.delta.close();
        let now = self.now();
        self.claims.note(HandedOver::Until(now), self.counted);
        self.end.give(std::mem::replace(&mut self.delta, spare), now);
    }
}

/// `engine::analyst_thread::AnalystThread`.
struct Analyst {
    end: AnalystEnd,
    last_deltas: Arc<Channel>,
    stop: Arc<AtomicBool>,
    /// The numbers of the packets that it has folded.
    folded: BTreeSet<usize>,
    last: Option<Box<Delta>>,
    claims: Arc<Claims>,
    seen: Arc<Seen>,
}

impl Analyst {
    /// Turns twice at any time, as it does when a wait times out, then when it is asked to stop.
    fn run(mut self) -> Self {
        let mut is_over = self.turn();
        while !is_over {
            is_over = self.turn();
            if !is_over {
                thread::park();
            }
        }
        self
    }

    /// Returns true if it was the last turn.
    fn turn(&mut self) -> bool {
        let is_last = self.stop.load(Ordering::Acquire);
        let settled = self.end.settled();
        let claimed = self.claims.packets(settled);
        if !self.has_folded(claimed) {
            Seen::note(if settled == HandedOver::Idle { &self.seen.idle } else { &self.seen.until });
        }
        if let Some(delta) = self.end.take() {
            if !is_last {
                Seen::note(&self.seen.taken);
            }
            self.fold(&delta);
            let claimed = self.claims.packets(HandedOver::Until(delta.handed_over_at));
            assert_eq!(delta.packets().last(), Some(&claimed), "it was handed over with these");
            self.end.give_back(delta);
        }
        if let Some(delta) = self.last_deltas.take() {
            self.fold(&delta);
            assert!(self.last.replace(delta).is_none(), "a worker ends once");
        }
        assert!(!is_last || self.last.is_some(), "the last delta is not there");
        assert!(
            self.has_folded(claimed),
            "{settled:?} claims {claimed} packets, and these came: {:?}",
            self.folded
        );
        is_last
    }

    fn fold(&mut self, delta: &Delta) {
        assert!(delta.is_closed(), "some of its packets are missing");
        for &packet in delta.packets() {
            assert!(self.folded.insert(packet), "packet {packet} comes twice");
        }
    }

    /// Returns true if it has folded the first packets, so many of them.
    fn has_folded(&self, packets: usize) -> bool {
        (1..=packets).all(|packet| self.folded.contains(&packet))
    }
}

/// Runs a worker beside the analyst in every interleaving; the worker ends after the first of its turns, after two, and
/// so on. With `counted_before`, one packet is counted before the threads start, so that nobody reads the first idle.
fn every_interleaving(turns: &'static [Turn], counted_before: bool) -> Seen {
    let seen = Arc::new(Seen::default());
    for ends in 1..=turns.len() {
        let seen = Arc::clone(&seen);
        loom::model(move || one_interleaving(&turns[..ends], counted_before, &seen));
    }
    println!("{turns:?}: {seen:?}");
    Arc::into_inner(seen).expect("the models have ended")
}

fn one_interleaving(turns: &'static [Turn], counted_before: bool, seen: &Arc<Seen>) {
    Seen::note(&seen.interleavings);
    let claims = Arc::new(Claims::default());
    let stop = Arc::new(AtomicBool::new(false));
    let last_deltas = Arc::new(Channel::new(None));
    let (worker_end, analyst_end) = handover(Box::new(Delta::new(0)));
    let mut worker = Worker {
        end: worker_end,
        delta: Box::new(Delta::new(1)),
        clock: 0,
        counted: 0,
        claims: Arc::clone(&claims),
        seen: Arc::clone(seen),
    };
    if counted_before {
        worker.read_packet();
    } else {
        claims.note(HandedOver::Idle, 0);
    }
    let analyst = Analyst {
        end: analyst_end,
        last_deltas: Arc::clone(&last_deltas),
        stop: Arc::clone(&stop),
        folded: BTreeSet::new(),
        last: None,
        claims,
        seen: Arc::clone(seen),
    };
    let analyst = thread::spawn(move || analyst.run());
    let worker = thread::spawn(move || worker.run(turns));

    // As `RunningEngine::stop`: the worker, then its last delta, then the analyst.
    let Worker { end, delta, counted, .. } = worker.join().expect("the worker ends");
    if !delta.packets().is_empty() {
        Seen::note(&seen.left);
    }
    assert!(last_deltas.swap(Some(delta)).is_none(), "a worker ends once");
    stop.store(true, Ordering::Release);
    analyst.thread().unpark();
    let analyst = analyst.join().expect("the analyst ends");

    assert!(analyst.folded.into_iter().eq(1..=counted), "packets are lost");
    assert!(analyst.end.take().is_none(), "a delta was left in its cell");
    let last = analyst.last.expect("the last delta came through the channel");
    let spare = end.take_spare().expect("the other was given back");
    assert_eq!(last.number + spare.number, 1, "one delta is there twice");
}

#[test]
fn a_worker_that_is_busy_throughout() {
    let turns = &[PacketAndTick, Packet, PacketAndTick];
    let seen = every_interleaving(turns, true);
    for seen in [&seen.late, &seen.taken, &seen.until, &seen.left] {
        assert!(seen.load(Relaxed) > 0);
    }
}

#[test]
fn a_worker_that_goes_idle() {
    let seen = every_interleaving(&[PacketAndTick, Packet, EmptyRing], true);
    for seen in [&seen.late, &seen.taken, &seen.until, &seen.idle, &seen.left] {
        assert!(seen.load(Relaxed) > 0);
    }
}

#[test]
fn a_worker_that_wakes_and_goes_idle_again() {
    let seen = every_interleaving(&[PacketAndTick, EmptyRing, Packet], false);
    for seen in [&seen.taken, &seen.until, &seen.left] {
        assert!(seen.load(Relaxed) > 0);
    }
}
