//! The queue of one sink: bounded, in order, and what it sheds when it is full.
//!
//! | the queue is full and | what is shed |
//! | --- | --- |
//! | ends or growths wait | the oldest of them |
//! | else confirmations wait | the oldest of them |
//! | only openings and tests wait | the notice that comes |
//!
//! So an opening that waits is never shed. The end of an alert whose opening was shed is shed as well, unless a growth
//! or confirmation between them said that it is open.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::alert::notice::Notice;

use super::queued_notice::QueuedNotice;

/// A queue between the analyst and the thread of a sink. Neither holds its lock for longer than a change of it takes.
#[derive(Debug)]
pub(super) struct NoticeQueue<R> {
    state: Mutex<QueueState<R>>,
    has_changed: Condvar,
}

#[derive(Debug)]
struct QueueState<R> {
    waiting: Waiting,
    /// What was given out and is not done, in order.
    given_out: VecDeque<Arc<QueuedNotice>>,
    wants_growth: bool,
    /// What is to replace the sink, before its next attempt.
    replacement: Option<R>,
    is_closed: bool,
}

/// What the thread of a sink does next.
#[derive(Debug)]
pub(super) enum NextStep<R> {
    /// Deliver these notices.
    Deliver(Vec<Arc<QueuedNotice>>),
    /// Use this from now on.
    Replace(R),
    /// The queue is closed and empty.
    End,
}

/// What became of a notice that was given to a queue.
#[derive(Debug)]
pub(super) struct PushResult {
    /// True if it waits now.
    pub(super) is_taken: bool,
    /// What was shed: it or another notice.
    pub(super) shed: Option<Arc<QueuedNotice>>,
}

impl<R> NoticeQueue<R> {
    pub(super) fn new(max: usize, wants_growth: bool) -> Self {
        let state = QueueState {
            waiting: Waiting::new(max),
            given_out: VecDeque::new(),
            wants_growth,
            replacement: None,
            is_closed: false,
        };
        Self { state: Mutex::new(state), has_changed: Condvar::new() }
    }

    /// Returns true if the sink takes notices like this one.
    pub(super) fn wants(&self, notice: &Notice) -> bool {
        !matches!(notice, Notice::Grown(..)) || self.lock().wants_growth
    }

    /// Queues a notice that the sink [wants](Self::wants). Never waits for the sink.
    pub(super) fn push(&self, queued: Arc<QueuedNotice>) -> PushResult {
        let mut state = self.lock();
        let number = queued.number;
        let shed = state.waiting.push(queued);
        drop(state);
        self.has_changed.notify_all();
        PushResult { is_taken: shed.as_ref().is_none_or(|shed| shed.number != number), shed }
    }

    /// Replaces the sink before its next attempt. What waits stays.
    pub(super) fn replace(&self, replacement: R, max: usize, wants_growth: bool) {
        let mut state = self.lock();
        state.replacement = Some(replacement);
        state.waiting.max = max;
        state.wants_growth = wants_growth;
        drop(state);
        self.has_changed.notify_all();
    }

    /// Ends the queue: what waits is still given out, and pauses end.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.has_changed.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Waits for something to do. Gives out at most `max` notices.
    pub(super) fn next(&self, max: usize) -> NextStep<R> {
        let mut state = self.lock();
        loop {
            if let Some(replacement) = state.replacement.take() {
                return NextStep::Replace(replacement);
            }
            if !state.waiting.is_empty() {
                let batch = state.waiting.take(max);
                state.given_out.extend(batch.iter().cloned());
                return NextStep::Deliver(batch);
            }
            if state.is_closed {
                return NextStep::End;
            }
            state = self.has_changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes that the oldest notices that were given out are done: delivered, or given up.
    pub(super) fn note_done(&self, count: usize) {
        let mut state = self.lock();
        let count = count.min(state.given_out.len());
        state.given_out.drain(..count);
    }

    /// Calls `submit` with every notice that is not done. None becomes done before `submit` returns.
    pub(super) fn with_undone(&self, submit: impl FnOnce(&mut dyn Iterator<Item = &QueuedNotice>)) {
        let state = self.lock();
        submit(&mut state.given_out.iter().chain(state.waiting.notices.values()).map(|queued| &**queued));
    }

    /// Takes a replacement of the sink that has come meanwhile.
    pub(super) fn replacement(&self) -> Option<R> {
        self.lock().replacement.take()
    }

    /// Waits for `pause`, or until the queue is closed or the sink is replaced.
    pub(super) fn pause(&self, pause: Duration) {
        let wait = |state: &mut QueueState<R>| !state.is_closed && state.replacement.is_none();
        let _ = self
            .has_changed
            .wait_timeout_while(self.lock(), pause, wait)
            .unwrap_or_else(PoisonError::into_inner);
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<R>> {
        // A panic of another thread ends the process.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much a notice matters when the queue is full; the least is shed first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Later,
    Confirmation,
    Opening,
}

impl Rank {
    const ALL: [Self; 3] = [Self::Later, Self::Confirmation, Self::Opening];

    fn of(notice: &Notice) -> Self {
        match notice {
            Notice::Closed(_) | Notice::Grown(..) => Self::Later,
            Notice::Confirmed(_) => Self::Confirmation,
            Notice::Opened(_) | Notice::Test(_) => Self::Opening,
        }
    }
}

/// The notices that wait, by number and by rank.
#[derive(Debug)]
struct Waiting {
    max: usize,
    notices: BTreeMap<u64, Arc<QueuedNotice>>,
    by_rank: [BTreeSet<u64>; Rank::ALL.len()],
    /// Ids of alerts whose openings were shed, and of which nothing was queued since.
    unheard: BTreeSet<String>,
}

/// Maximum number of ids of alerts whose openings were shed. Beyond it the end of such an alert is delivered.
const UNHEARD_MAX: usize = 20_000;

impl Waiting {
    fn new(max: usize) -> Self {
        Self { max, notices: BTreeMap::new(), by_rank: Default::default(), unheard: BTreeSet::new() }
    }

    fn is_empty(&self) -> bool {
        self.notices.is_empty()
    }

    /// Adds a notice. Returns the one that was shed: none, it, or another.
    fn push(&mut self, queued: Arc<QueuedNotice>) -> Option<Arc<QueuedNotice>> {
        let rank = Rank::of(&queued.notice);
        let id = &queued.notice.alert().id;
        if matches!(queued.notice, Notice::Closed(_)) && self.unheard.remove(id) {
            return Some(queued);
        }
        let mut shed = None;
        if self.notices.len() >= self.max {
            let least = Rank::ALL.into_iter().find(|rank| !self.by_rank[*rank as usize].is_empty());
            match least {
                Some(least) if least <= rank && least < Rank::Opening => {
                    let oldest = self.by_rank[least as usize].pop_first();
                    shed = oldest.and_then(|number| self.notices.remove(&number));
                }
                _ => {
                    if rank == Rank::Opening && self.unheard.len() < UNHEARD_MAX {
                        self.unheard.insert(id.clone());
                    }
                    return Some(queued);
                }
            }
        }
        self.unheard.remove(id);
        self.by_rank[rank as usize].insert(queued.number);
        self.notices.insert(queued.number, queued);
        shed
    }

    fn take(&mut self, max: usize) -> Vec<Arc<QueuedNotice>> {
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some((number, queued)) = self.notices.pop_first() else { break };
            self.by_rank[Rank::of(&queued.notice) as usize].remove(&number);
            taken.push(queued);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use crate::alert::{Alert, sample};
    use crate::time::UnixNanos;

    use super::*;

    fn alert(id: &str) -> Alert {
        Alert { id: id.to_owned(), ..sample::traffic() }
    }

    /// `+a` opens the alert `a`, `!a` confirms it, `^a` grows it, `-a` closes it.
    fn notice(text: &str) -> Notice {
        let (kind, id) = text.split_at(1);
        let alert = alert(id);
        match kind {
            "+" => Notice::Opened(alert),
            "!" => Notice::Confirmed(alert),
            "^" => Notice::Grown(alert, 2),
            _ => Notice::Closed(Alert { closed_at: Some(UnixNanos(1)), ..alert }),
        }
    }

    fn text(queued: &QueuedNotice) -> String {
        let kind = match queued.notice {
            Notice::Opened(_) => "+",
            Notice::Confirmed(_) => "!",
            Notice::Grown(..) => "^",
            _ => "-",
        };
        format!("{kind}{}", queued.notice.alert().id)
    }

    #[test]
    fn a_full_queue_sheds_ends_and_growths_first_and_no_opening_that_waits() {
        // What comes, what was shed of it in this order, and what is delivered.
        let cases = [
            ("+a -a +b", "", "+a -a +b"),
            ("+a -a +b +c", "-a", "+a +b +c"),
            ("+a ^a -a +b", "^a", "+a -a +b"),
            ("+a !a -a +b +c", "-a !a", "+a +b +c"),
            ("+a !a +b -b", "-b", "+a !a +b"),
            ("+a !a +b !b", "!a", "+a +b !b"),
            // Only openings wait: the one that comes is shed, and its end with it.
            ("+a +b +c +d -d -a", "+d -d -a", "+a +b +c"),
        ];
        for (pushed, shed, delivered) in cases {
            let queue = NoticeQueue::<()>::new(3, true);
            let gone: Vec<String> = (1_u64..)
                .zip(pushed.split(' '))
                .filter_map(|(number, word)| {
                    let queued = Arc::new(QueuedNotice::new(number, UnixNanos(0), notice(word)));
                    let result = queue.push(queued);
                    let is_itself = result.shed.as_ref().is_some_and(|shed| shed.number == number);
                    assert_eq!(result.is_taken, !is_itself);
                    result.shed.map(|shed| text(&shed))
                })
                .collect();
            assert_eq!(gone.join(" "), shed, "{pushed}");
            let NextStep::Deliver(rest) = queue.next(9) else { panic!("{pushed}") };
            let rest: Vec<String> = rest.iter().map(|queued| text(queued)).collect();
            assert_eq!(rest.join(" "), delivered, "{pushed}");
        }
    }

    /// The receiver never hears the end of an alert of which it heard nothing.
    #[test]
    fn the_end_of_an_alert_whose_opening_was_shed_is_shed_even_when_there_is_room() {
        let queue = NoticeQueue::<()>::new(1, true);
        let mut number = 0;
        let mut push = |word: &str| {
            number += 1;
            queue.push(Arc::new(QueuedNotice::new(number, UnixNanos(0), notice(word)))).is_taken
        };
        assert!(push("+a"));
        assert!(!push("+b"));
        assert!(!push("+c"));
        assert!(matches!(queue.next(9), NextStep::Deliver(_)));
        assert!(!push("-b"), "nothing was said of it");
        assert!(push("^c"), "this says that it is open");
        assert!(matches!(queue.next(9), NextStep::Deliver(_)));
        assert!(push("-c"));
        assert!(matches!(queue.next(9), NextStep::Deliver(_)));
        // It opens again.
        assert!(push("+b"));
        assert!(matches!(queue.next(9), NextStep::Deliver(_)));
        assert!(push("-b"));
    }

    #[test]
    fn a_replacement_comes_before_notices_and_the_end_after_them() {
        let queue = NoticeQueue::new(3, false);
        let push = |number, word| {
            queue.push(Arc::new(QueuedNotice::new(number, UnixNanos(0), notice(word)))).is_taken
        };
        assert!(!queue.wants(&notice("^a")) && queue.wants(&notice("+a")));
        assert!(push(2, "+a"));
        queue.replace("new", 3, true);
        queue.pause(Duration::MAX);
        assert!(matches!(queue.next(1), NextStep::Replace("new")));
        assert!(queue.wants(&notice("^a")) && push(3, "^a"));
        queue.close();
        queue.pause(Duration::MAX);
        assert!(matches!(queue.next(1), NextStep::Deliver(batch) if batch[0].number == 2));
        assert!(matches!(queue.next(9), NextStep::Deliver(batch) if batch[0].number == 3));
        assert!(matches!(queue.next(9), NextStep::End));
    }
}
