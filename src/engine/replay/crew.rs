//! Several workers on one stream of frames, with the result of one.
//!
//! ```text
//!   course (under a lock): read a chunk, cut it into ticks     worker: decode, count into its delta of the tick
//!        |                                                        |
//!        +---- ticks that are over ---------> analyst <--- deltas-+
//!                                             adds the deltas of a tick up once every worker is past it
//! ```
//!
//! Workers take chunks in turn. What a chunk added to the rows of a delta is marked, so the analyst can add rows up in the
//! order of the stream: what it folds is the delta that one worker would have made, row by row. The lock is held for a
//! chunk, not for a frame.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::capture::{Chunk, Replay, ReplayError};
use crate::engine::pipeline::FramePipeline;
use crate::flow::{Delta, RowMarks};

use super::clock::{Clock, Tick};
use super::judge::Judge;

/// Deltas of one worker: in its hands, on their way, and with the analyst.
const DELTAS_PER_WORKER: usize = 3;

/// Replays `captures` by so many workers, and says where one broke off.
pub(super) fn replay(
    captures: &[PathBuf],
    workers: usize,
    clock: Clock,
    new_delta: &(impl Fn() -> Delta + Sync),
    counts_received: bool,
    judge: &mut Judge,
) -> Option<ReplayError> {
    let (ticks, ticks_over) = mpsc::channel();
    let (news, from_workers) = mpsc::channel();
    let course = Mutex::new(Course {
        captures: captures.iter(),
        source: None,
        clock,
        ticks: Some(ticks),
        chunks: 0,
        ticks_begun: 0,
        broken: None,
    });
    thread::scope(|scope| {
        let mut spares = Vec::new();
        for worker in 0..workers {
            let (spare, to_worker) = mpsc::channel();
            spares.push(spare);
            let (news, course) = (news.clone(), &course);
            let pipeline = FramePipeline::new(counts_received);
            let hands = Hands { worker, news, spares: to_worker, made: 0, new_delta };
            scope.spawn(move || work(course, pipeline, hands));
        }
        drop(news);
        Collector { from_workers, spares, past: vec![0; workers], filled: Vec::new(), whole: new_delta() }
            .run(&ticks_over, judge);
    });
    course.into_inner().unwrap_or_else(PoisonError::into_inner).broken
}

/// The captures in their order, and where capture time stands in them.
struct Course<'c> {
    captures: std::slice::Iter<'c, PathBuf>,
    source: Option<Replay>,
    clock: Clock,
    /// Where ticks are told that are over; `None` once the last one is.
    ticks: Option<Sender<Tick>>,
    chunks: u64,
    /// The number of the next tick to begin.
    ticks_begun: u64,
    broken: Option<ReplayError>,
}

/// What a worker counts at one go.
#[derive(Default)]
struct Portion {
    chunk: Chunk,
    number: u64,
    /// Ticks by their number, and which frames are of them.
    runs: Vec<(u64, Range<usize>)>,
}

impl Course<'_> {
    /// Fills `portion`; false when there is nothing left.
    fn next(&mut self, portion: &mut Portion) -> bool {
        if self.ticks.is_none() {
            return false;
        }
        match self.read(&mut portion.chunk) {
            Ok(true) => {}
            Ok(false) => return self.end(),
            Err(error) => {
                self.broken = Some(error);
                return self.end();
            }
        }
        portion.number = self.chunks;
        self.chunks += 1;
        portion.runs.clear();
        let mut begin = 0;
        let frames = portion.chunk.times().len();
        for (at, seen_at) in portion.chunk.times().enumerate() {
            let tick = self.clock.turn(seen_at);
            if tick.is_some() || self.ticks_begun == 0 {
                if at > begin {
                    portion.runs.push((self.ticks_begun - 1, begin..at));
                    begin = at;
                }
                self.ticks_begun += 1;
            }
            self.tell(tick);
        }
        portion.runs.push((self.ticks_begun - 1, begin..frames));
        true
    }

    fn read(&mut self, chunk: &mut Chunk) -> Result<bool, ReplayError> {
        loop {
            let source = match &mut self.source {
                Some(source) => source,
                None => match self.captures.next() {
                    Some(path) => self.source.insert(Replay::open(path)?),
                    None => return Ok(false),
                },
            };
            if source.next_chunk(chunk)? {
                return Ok(true);
            }
            self.source = None;
        }
    }

    fn tell(&self, tick: Option<Tick>) {
        if let (Some(tick), Some(ticks)) = (tick, &self.ticks) {
            // The analyst listens until the last one.
            let _ = ticks.send(tick);
        }
    }

    fn end(&mut self) -> bool {
        let last = self.clock.end(None);
        self.tell(last);
        self.ticks = None;
        false
    }
}

/// A delta of one tick, and what of its rows which chunk made.
struct Filled {
    worker: usize,
    tick: u64,
    delta: Box<Delta>,
    parts: Vec<Part>,
}

#[derive(Clone, Copy)]
struct Part {
    chunk: u64,
    from: RowMarks,
    to: RowMarks,
}

/// What a worker tells: that it counts nothing before this tick any more, and what it had counted.
struct News {
    worker: usize,
    past: u64,
    filled: Option<Filled>,
}

/// What a worker has besides what it counts into.
struct Hands<'d, N> {
    worker: usize,
    news: Sender<News>,
    spares: Receiver<Filled>,
    made: usize,
    new_delta: &'d N,
}

fn work(course: &Mutex<Course<'_>>, mut pipeline: FramePipeline, mut hands: Hands<'_, impl Fn() -> Delta>) {
    let mut portion = Portion::default();
    let mut filled: Option<Filled> = None;
    while course.lock().unwrap_or_else(PoisonError::into_inner).next(&mut portion) {
        for (tick, frames) in &portion.runs {
            let is_over = filled.as_ref().is_none_or(|filled| filled.tick != *tick);
            if is_over {
                // Before it waits for a spare: others may wait for what it has.
                hands.tell(*tick, filled.take());
            }
            let filled = filled.get_or_insert_with(|| hands.spare(*tick));
            let from = filled.delta.marks();
            let batch = portion.chunk.part(frames.clone());
            pipeline.take_all(&batch, &mut filled.delta);
            filled.parts.push(Part { chunk: portion.number, from, to: filled.delta.marks() });
        }
    }
    hands.tell(u64::MAX, filled);
}

impl<N: Fn() -> Delta> Hands<'_, N> {
    fn tell(&self, past: u64, mut filled: Option<Filled>) {
        if let Some(filled) = &mut filled {
            filled.delta.close();
        }
        // The analyst listens until every worker has ended.
        let _ = self.news.send(News { worker: self.worker, past, filled });
    }

    /// An empty delta for a tick; it waits for one to come back where all are out.
    fn spare(&mut self, tick: u64) -> Filled {
        if self.made == DELTAS_PER_WORKER
            && let Ok(spare) = self.spares.recv()
        {
            return Filled { tick, ..spare };
        }
        self.made += 1;
        Filled { worker: self.worker, tick, delta: Box::new((self.new_delta)()), parts: Vec::new() }
    }
}

/// The analyst's side.
struct Collector {
    from_workers: Receiver<News>,
    spares: Vec<Sender<Filled>>,
    /// The tick before which each worker counts nothing any more.
    past: Vec<u64>,
    /// Deltas whose tick is not over for every worker.
    filled: Vec<Filled>,
    whole: Delta,
}

impl Collector {
    fn run(mut self, ticks: &Receiver<Tick>, judge: &mut Judge) {
        for (number, tick) in ticks.iter().enumerate() {
            let number = number as u64;
            while self.past.iter().any(|&past| past <= number)
                && let Ok(news) = self.from_workers.recv()
            {
                self.past[news.worker] = news.past;
                self.filled.extend(news.filled);
            }
            let of_tick: Vec<Filled> = self.filled.extract_if(.., |filled| filled.tick == number).collect();
            self.add_up(&of_tick);
            judge.end(&mut self.whole, &tick);
            for Filled { worker, mut delta, mut parts, .. } in of_tick {
                delta.clear();
                parts.clear();
                // It may have ended.
                let _ = self.spares[worker].send(Filled { worker, tick: number, delta, parts });
            }
        }
    }

    /// Makes the delta that one worker would have made of all the frames.
    fn add_up(&mut self, of_tick: &[Filled]) {
        let parts = of_tick.iter().flat_map(|filled| filled.parts.iter().map(|part| (part, &filled.delta)));
        let mut parts: Vec<_> = parts.collect();
        parts.sort_unstable_by_key(|(part, _)| part.chunk);
        for (part, delta) in parts {
            self.whole.add_rows(delta, part.from, part.to);
        }
        for filled in of_tick {
            self.whole.add_sums(&filled.delta);
        }
    }
}
