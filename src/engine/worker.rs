//! One worker: decodes blocks into summaries, counts these in its delta, and hands the delta over at the end of the
//! tick.
//!
//! After its start it never allocates, takes no lock and makes no system call per packet: one clock read per block, one
//! `getsockopt` per hand-over, one wait when the ring is empty. It counts these calls, and the counts are part of
//! the delta. A worker with an empty delta sleeps until a block is ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Duration;

use crate::capture::{CaptureError, FrameSource, Live};
use crate::flow::{Delta, KernelCounts, WorkerCounts, WorkerEnd};
use crate::time::{Moment, monotonic_now};

use super::pipeline::FramePipeline;
use super::tick::TICK;

/// Minimum number of frames dropped within a tick that makes initiators uncertain: the first packet of a flow may be
/// among them.
const BURST_OF_DROPS: u64 = 100;

/// How long a worker continues to read after the request to stop. The kernel retires the open block in that time.
const LAST_BLOCK: Duration = Duration::from_millis(60);

/// Everything that one worker owns.
pub(super) struct Worker {
    /// The ring.
    pub(super) live: Live,
    pub(super) end: WorkerEnd,
    pub(super) delta: Box<Delta>,
    /// The thread to wake when a delta is handed over early.
    pub(super) analyst: Thread,
    /// True while the worker is marked idle in the hand-over.
    pub(super) is_idle: bool,
    pub(super) stop: Arc<AtomicBool>,
}

impl Worker {
    /// Counts until `stop` is set, and then for [`LAST_BLOCK`]. Returns the last delta, which was not handed over.
    ///
    /// # Errors
    /// The ring can no longer be read or waited for.
    pub(super) fn run(mut self) -> Result<Box<Delta>, CaptureError> {
        let mut pipeline = FramePipeline::new(true);
        let mut tick_ends = Moment::default();
        let mut stops_at = None;
        let mut activity = WorkerCounts::default();
        loop {
            let (now, is_drained) = match self.live.next_batch()? {
                None => (monotonic_now(), true),
                Some(batch) => {
                    let now = monotonic_now();
                    activity.blocks += 1;
                    if self.delta.is_empty() {
                        self.end.mark_busy(now);
                        if std::mem::take(&mut self.is_idle) {
                            // The analyst computes from the mark when this hand-over is due, so it need not be woken
                            // for it.
                            self.analyst.unpark();
                        }
                        self.delta.began_at = Some(now);
                        tick_ends = now.plus(TICK);
                    }
                    pipeline.count_batch(&batch, &mut self.delta);
                    (now, false)
                }
            };
            let is_due = now >= tick_ends || self.delta.is_half_full();
            if is_due && !self.delta.is_empty() {
                if self.hand_over(now, &mut activity)? {
                    tick_ends = now.plus(TICK);
                } else {
                    activity.handovers_late += 1;
                }
            }
            if stops_at.is_none() && self.stop.load(Ordering::Acquire) {
                stops_at = Some(now.plus(LAST_BLOCK));
            }
            if stops_at.is_some_and(|at| now >= at) {
                return self.finish(now, activity);
            }
            if is_drained {
                activity.waits += 1;
                self.wait(now, tick_ends, stops_at)?;
            }
        }
    }

    /// Waits for a block, and at most until the end of the tick if anything was counted, or until the deadline of a
    /// stop.
    fn wait(&mut self, now: Moment, tick_ends: Moment, stops_at: Option<Moment>) -> Result<(), CaptureError> {
        let deadline = if self.delta.is_empty() {
            self.end.mark_idle();
            self.is_idle = true;
            stops_at
        } else if tick_ends <= now {
            // The hand-over is due, but the analyst still has the spare delta: it is late, so try again soon.
            Some(now.plus(TICK / 10))
        } else {
            Some(stops_at.map_or(tick_ends, |at| at.min(tick_ends)))
        };
        self.live.wait(deadline.map(|at| at.since(now)))
    }

    /// Hands the delta over if the analyst has returned the spare one. Returns true if it did.
    ///
    /// # Errors
    /// The statistics of the socket cannot be read.
    fn hand_over(&mut self, now: Moment, activity: &mut WorkerCounts) -> Result<bool, CaptureError> {
        let Some(spare) = self.end.take_spare() else { return Ok(false) };
        let is_early = self.delta.is_half_full();
        self.note_statistics()?;
        activity.handovers += 1;
        self.delta.add_worker(std::mem::take(activity));
        self.delta.close();
        self.end.give(std::mem::replace(&mut self.delta, spare), now);
        if is_early {
            // The analyst expects this hand-over later. Waking a thread takes 15 us, the swap 1 us (bench `handover`),
            // but an analyst with so much to fold seldom sleeps.
            self.analyst.unpark();
        }
        Ok(true)
    }

    /// Returns the delta with the last statistics.
    fn finish(mut self, now: Moment, activity: WorkerCounts) -> Result<Box<Delta>, CaptureError> {
        self.note_statistics()?;
        self.delta.add_worker(activity);
        self.delta.close();
        self.delta.handed_over_at = now;
        Ok(self.delta)
    }

    /// Adds the statistics of the socket since the last call to the delta, and whether initiators are uncertain.
    fn note_statistics(&mut self) -> Result<(), CaptureError> {
        let statistics = self.live.statistics()?;
        let is_disturbed = self.live.take_changed() || statistics.tp_drops >= BURST_OF_DROPS;
        self.delta.is_disturbed |= is_disturbed;
        self.delta.add_kernel(KernelCounts {
            tp_packets: statistics.tp_packets,
            tp_drops: statistics.tp_drops,
            tp_freezes: statistics.tp_freezes,
        });
        Ok(())
    }
}
