//! The queue of one sink: bounded, in order, with what it gives out next and what it turns into a summary.
//!
//! Without `AlertRate` a full queue sheds notices, and all that wait are given out one by one. With it, so many are
//! given out within a minute. What waits then is replaced by a summary when the minute is over, or when the queue is
//! closed. If the queue is full before that, all but the weightiest notices go into a draft of that summary, so none is
//! shed. What comes after a draft is not given out before it: its alerts may be in the draft, and the receiver would be
//! told of their end before their opening.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::alert::notice::Notice;
use crate::time::{Moment, monotonic_now};

use super::queued_notice::{QueuedContent, QueuedNotice};
use super::rate::{AlertRate, RateWindow};
use super::summary_maker::SummaryMaker;
use super::waiting::Waiting;

/// A queue between the analyst and the thread of a sink. Neither holds its lock for longer than a change of it takes.
#[derive(Debug)]
pub(super) struct NoticeQueue<R> {
    state: Mutex<QueueState<R>>,
    has_changed: Condvar,
}

#[derive(Debug)]
struct QueueState<R> {
    limits: QueueLimits,
    waiting: Waiting,
    /// Complete summaries that wait. They are given out before notices.
    summaries: VecDeque<Arc<QueuedNotice>>,
    /// The summary that is not complete: what a full queue had no room for.
    draft: Option<Arc<QueuedNotice>>,
    /// The notices that came after the draft, in order. Those in `waiting` came before it.
    after_draft: Vec<Arc<QueuedNotice>>,
    window: RateWindow,
    summary_maker: SummaryMaker,
    /// What was given out and is not done, in order.
    given_out: VecDeque<Arc<QueuedNotice>>,
    /// What is to replace the sink, before its next attempt.
    replacement: Option<R>,
    is_closed: bool,
}

/// What a sink takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueLimits {
    /// Maximum number of notices that wait.
    pub(super) max: usize,
    /// True if it takes notices that an alert grows.
    pub(super) wants_growth: bool,
    /// How many it takes one by one; `None` if all.
    pub(super) rate: Option<AlertRate>,
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

/// What is to be done with what waits.
#[derive(Debug)]
enum Due {
    Deliver(Vec<Arc<QueuedNotice>>),
    /// Nothing before this time, unless something comes.
    Later(Moment),
    Nothing,
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
    pub(super) fn new(limits: QueueLimits, summary_maker: SummaryMaker) -> Self {
        let state = QueueState {
            limits,
            waiting: Waiting::new(limits.max),
            summaries: VecDeque::new(),
            draft: None,
            after_draft: Vec::new(),
            window: RateWindow::default(),
            summary_maker,
            given_out: VecDeque::new(),
            replacement: None,
            is_closed: false,
        };
        Self { state: Mutex::new(state), has_changed: Condvar::new() }
    }

    /// Returns true if the sink takes notices like this one.
    pub(super) fn wants(&self, notice: &Notice) -> bool {
        !matches!(notice, Notice::Grown(..)) || self.lock().limits.wants_growth
    }

    /// Queues a notice that the sink [wants](Self::wants). Never waits for the sink.
    pub(super) fn push(&self, queued: Arc<QueuedNotice>) -> PushResult {
        let mut state = self.lock();
        let number = queued.number;
        let shed = state.push(queued);
        drop(state);
        self.has_changed.notify_all();
        PushResult { is_taken: shed.as_ref().is_none_or(|shed| shed.number != number), shed }
    }

    /// Queues and counts the summaries among what an earlier process left, in order. They are given out before all
    /// notices. A draft is completed, with the notices that have lower numbers: some were queued before those in the
    /// draft, and some after them. Returns the other notices, which are yet to be queued.
    pub(super) fn push_restored(&self, restored: Vec<Arc<QueuedNotice>>) -> Vec<Arc<QueuedNotice>> {
        let mut state = self.lock();
        let others = state.push_restored(restored);
        drop(state);
        self.has_changed.notify_all();
        others
    }

    /// Replaces the sink before its next attempt. What waits stays.
    pub(super) fn replace(&self, replacement: R, limits: QueueLimits) {
        let mut state = self.lock();
        state.replacement = Some(replacement);
        // With a higher rate more could be given out now than what waits before the draft.
        state.complete_draft();
        state.waiting.set_max(limits.max);
        state.limits = limits;
        drop(state);
        self.has_changed.notify_all();
    }

    /// Ends the queue: what waits is still given out, and pauses end. With a rate, what exceeds one attempt becomes a
    /// summary, since the time left may not suffice for more.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        if state.draft.is_some() {
            state.summarise_before(Moment(u64::MAX));
        }
        drop(state);
        self.has_changed.notify_all();
    }

    /// Returns true if a notice or summary, or the draft of one, waits or is being delivered.
    pub(super) fn has_undone(&self) -> bool {
        let mut has_undone = false;
        self.with_undone(|undone| has_undone = undone.next().is_some());
        has_undone
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
            let now = monotonic_now();
            match state.due(max, now) {
                Due::Deliver(batch) => return NextStep::Deliver(batch),
                Due::Nothing if state.is_closed => return NextStep::End,
                Due::Nothing => {
                    state = self.has_changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Due::Later(at) => {
                    let wait = self.has_changed.wait_timeout(state, at.since(now));
                    (state, _) = wait.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Notes that the oldest notices that were given out are done: delivered, or given up.
    pub(super) fn note_done(&self, count: usize) {
        self.lock().note_done(count, monotonic_now());
    }

    /// Calls `submit` with every notice that is not done. None becomes done before `submit` returns.
    pub(super) fn with_undone(&self, submit: impl FnOnce(&mut dyn Iterator<Item = &QueuedNotice>)) {
        let state = self.lock();
        let summaries = state.summaries.iter().chain(&state.draft);
        let notices = state.waiting.iter().chain(&state.after_draft);
        submit(&mut state.given_out.iter().chain(summaries).chain(notices).map(|queued| &**queued));
    }

    /// Removes the destinations from all notices that are not done.
    pub(super) fn hide_destinations(&self) {
        let state = &mut *self.lock();
        let notices =
            state.given_out.iter_mut().chain(state.waiting.iter_mut()).chain(&mut state.after_draft);
        notices.for_each(|queued| *queued = Arc::new(queued.without_destinations()));
    }

    /// Returns what was given out and is not done, in order, as it is to be delivered now.
    pub(super) fn given_out(&self) -> Vec<Arc<QueuedNotice>> {
        self.lock().given_out.iter().cloned().collect()
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

impl<R> QueueState<R> {
    /// Returns what is to be done at `now`. Gives out at most `max` notices.
    fn due(&mut self, max: usize, now: Moment) -> Due {
        self.summarise_if_due(now);
        let (waiting, left) = (self.waiting.len(), self.left());
        let batch = if let Some(summary) = self.summaries.pop_front() {
            vec![summary]
        } else if waiting > left {
            self.waiting.take_weightiest(max.min(left))
        } else {
            self.waiting.take(max)
        };
        if !batch.is_empty() {
            self.given_out.extend(batch.iter().cloned());
            return Due::Deliver(batch);
        }
        let ends_at = self.limits.rate.and_then(|rate| self.window.ends_at(rate));
        let has_rest = !self.waiting.is_empty() || self.draft.is_some();
        ends_at.filter(|_| has_rest).map_or(Due::Nothing, Due::Later)
    }

    /// Returns how many notices may be given out one by one now.
    fn left(&self) -> usize {
        self.limits.rate.map_or(usize::MAX, |rate| self.window.left(rate))
    }

    /// Replaces what waits beyond the rate by a summary, if its minute is over or no minute is to be waited for.
    fn summarise_if_due(&mut self, now: Moment) {
        // Without a rate there is no draft.
        let Some(rate) = self.limits.rate else { return };
        if self.is_closed {
            if self.waiting.len() > self.window.left(rate).min(1) {
                self.summarise_before(Moment(u64::MAX));
            }
            return;
        }
        match self.window.ends_at(rate) {
            Some(ends_at) if ends_at <= now => {
                // A slow receiver may not have got as many as it may get one by one; what waits is too much for it all
                // the same.
                let left = self.window.left(rate);
                self.window.end();
                if self.draft.is_some() || self.waiting.count_before(ends_at) > left {
                    self.summarise_before(ends_at);
                }
            }
            None if self.waiting.is_empty() => self.complete_draft(),
            _ => {}
        }
    }

    /// Replaces what was queued before `end` by a summary. What came later belongs to the next minute.
    fn summarise_before(&mut self, end: Moment) {
        if self.draft.is_none() {
            let rest = self.waiting.take_before(end);
            return self.summarise(rest);
        }
        // What waits before the draft is in it: the draft may have later notices of the same alerts.
        let mut rest = self.waiting.take(usize::MAX);
        let (before, later) =
            std::mem::take(&mut self.after_draft).into_iter().partition(|queued| queued.since < end);
        self.after_draft = later;
        rest.extend::<Vec<_>>(before);
        self.summarise(rest);
        self.release_after_draft();
    }

    /// Completes the draft, if there is one, with what waits before it.
    fn complete_draft(&mut self) {
        if self.draft.is_some() {
            let rest = self.waiting.take(usize::MAX);
            self.summarise(rest);
            self.release_after_draft();
        }
    }

    /// Replaces the draft and these notices by a complete summary; without both it does nothing.
    fn summarise(&mut self, rest: Vec<Arc<QueuedNotice>>) {
        if !rest.is_empty() || self.draft.is_some() {
            let summary = self.summary_maker.replace(self.draft.take(), rest, true);
            self.summaries.push_back(summary);
        }
    }

    /// Lets what came after the draft be given out once the draft is complete.
    fn release_after_draft(&mut self) {
        std::mem::take(&mut self.after_draft).into_iter().for_each(|queued| self.waiting.insert(queued));
    }

    /// Queues a notice. Returns the one that was shed: none, it, or another.
    fn push(&mut self, queued: Arc<QueuedNotice>) -> Option<Arc<QueuedNotice>> {
        self.make_room();
        if self.draft.is_none() || self.waiting.is_unheard_end(&queued) {
            return self.waiting.push(queued);
        }
        self.after_draft.push(queued);
        None
    }

    /// Makes room in a full queue: puts what came after the draft into it, or all but the weightiest notices into a new
    /// one.
    fn make_room(&mut self) {
        let Some(rate) = self.limits.rate else { return };
        if self.waiting.len() + self.after_draft.len() < self.limits.max {
            return;
        }
        let rest = if self.draft.is_some() {
            std::mem::take(&mut self.after_draft)
        } else {
            let kept = self.limits.max / 2;
            self.waiting.take_all_but(kept.min(rate.max as usize))
        };
        self.draft = Some(self.summary_maker.replace(self.draft.take(), rest, false));
    }

    fn push_restored(&mut self, mut restored: Vec<Arc<QueuedNotice>>) -> Vec<Arc<QueuedNotice>> {
        let (mut complete, mut drafts) = (Vec::new(), Vec::new());
        restored.retain(|queued| {
            let QueuedContent::Summary(summary) = &queued.content else { return true };
            let summaries = if summary.is_complete { &mut complete } else { &mut drafts };
            summaries.push(Arc::clone(queued));
            false
        });
        for summary in complete {
            self.summary_maker.counters.count_queued();
            self.summaries.push_back(summary);
        }
        for draft in drafts {
            let drafted = restored.partition_point(|queued| queued.number < draft.number);
            let rest: Vec<_> = restored.drain(..drafted).collect();
            rest.iter().for_each(|_| self.summary_maker.counters.count_queued());
            self.draft = Some(draft);
            self.summarise(rest);
        }
        restored
    }

    fn note_done(&mut self, count: usize, now: Moment) {
        let count = count.min(self.given_out.len());
        let done = self.given_out.drain(..count);
        let notices = done.filter(|queued| matches!(queued.content, QueuedContent::Notice(_))).count();
        if self.limits.rate.is_some() {
            self.window.note_done(now, notices);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::alert::record::AlertState;
    use crate::alert::sink::counters::SinkName;
    use crate::alert::sink::outbox::Outbox;
    use crate::alert::sink::summary::NoticeSummary;
    use crate::alert::sink::summary_maker::LastNotice;
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

    fn queue<R>(max: usize, wants_growth: bool, rate: Option<AlertRate>) -> NoticeQueue<R> {
        let summary_maker = SummaryMaker {
            sink: SinkName::Webhook,
            outbox: Outbox::default(),
            counters: Arc::default(),
            last_notice: LastNotice::after(1000),
        };
        NoticeQueue::new(QueueLimits { max, wants_growth, rate }, summary_maker)
    }

    fn text(queued: &QueuedNotice) -> String {
        let notice = match &queued.content {
            QueuedContent::Notice(notice) => notice,
            QueuedContent::Summary(summary) => return format!("*{}", summary.notices()),
        };
        let kind = match notice {
            Notice::Opened(_) => "+",
            Notice::Confirmed(_) => "!",
            Notice::Grown(..) => "^",
            _ => "-",
        };
        format!("{kind}{}", notice.alert().id)
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
            let queue = queue::<()>(3, true, None);
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
        let queue = queue::<()>(1, true, None);
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
        let queue = queue(3, false, None);
        let push = |number, word| {
            queue.push(Arc::new(QueuedNotice::new(number, UnixNanos(0), notice(word)))).is_taken
        };
        assert!(!queue.wants(&notice("^a")) && queue.wants(&notice("+a")));
        assert!(push(2, "+a"));
        queue.replace("new", QueueLimits { max: 3, wants_growth: true, rate: None });
        queue.pause(Duration::MAX);
        assert!(matches!(queue.next(1), NextStep::Replace("new")));
        assert!(queue.wants(&notice("^a")) && push(3, "^a"));
        queue.close();
        queue.pause(Duration::MAX);
        assert!(matches!(queue.next(1), NextStep::Deliver(batch) if batch[0].number == 2));
        assert!(matches!(queue.next(9), NextStep::Deliver(batch) if batch[0].number == 3));
        assert!(matches!(queue.next(9), NextStep::End));
    }

    const SECOND: u64 = 1_000_000_000;

    /// A queue whose sink takes some notices a minute, driven by a clock of the test.
    struct Paced {
        queue: NoticeQueue<()>,
        now: u64,
        number: u64,
    }

    impl Paced {
        fn new(max: usize, rate: u32) -> Self {
            let rate = Some(AlertRate::per_minute(rate));
            Self { queue: queue(max, true, rate), now: 1000, number: 0 }
        }

        /// Queues notices now.
        fn push(&mut self, words: &str) {
            for word in words.split(' ') {
                self.number += 1;
                let since = Moment(self.now * SECOND);
                let mut queued = QueuedNotice::new(self.number, UnixNanos(self.now * SECOND), notice(word));
                queued.since = since;
                let result = self.queue.push(Arc::new(queued));
                assert!(result.is_taken && result.shed.is_none(), "nothing is shed");
            }
        }

        /// Delivers what is due now. Returns it, and when there is more.
        fn deliver(&mut self) -> (String, Option<u64>) {
            let mut delivered = Vec::new();
            let now = Moment(self.now * SECOND);
            loop {
                let due = self.queue.lock().due(1, now);
                match due {
                    Due::Deliver(batch) => {
                        delivered.extend(batch.iter().map(|queued| text(queued)));
                        self.queue.lock().note_done(batch.len(), now);
                    }
                    Due::Later(at) => return (delivered.join(" "), Some(at.0 / SECOND)),
                    Due::Nothing => return (delivered.join(" "), None),
                }
            }
        }

        fn counts(&self) -> (u64, u64) {
            let counts = self.queue.lock().summary_maker.counters.read();
            (counts.summarised, counts.queued)
        }
    }

    fn said(delivered: &str, more_at: Option<u64>) -> (String, Option<u64>) {
        (delivered.to_owned(), more_at)
    }

    #[test]
    fn what_exceeds_the_rate_is_one_summary_when_the_minute_is_over() {
        let mut paced = Paced::new(100, 2);
        paced.push("+a");
        assert_eq!(paced.deliver(), said("+a", None));
        // The minute began with that delivery.
        paced.now += 50;
        paced.push("+b +c +d");
        assert_eq!(paced.deliver(), said("+b", Some(1060)));
        paced.now += 9;
        paced.push("-a");
        assert_eq!(paced.deliver(), said("", Some(1060)));
        paced.now = 1060;
        assert_eq!(paced.deliver(), said("*3", None));
        assert_eq!(paced.counts(), (3, 1), "the queue counts the summary itself");
        // The summary begins the next minute and counts for none of its notices.
        paced.push("+e +f +g");
        assert_eq!(paced.deliver(), said("+e +f", Some(1120)));
        paced.now = 1120;
        assert_eq!(paced.deliver(), said("*1", None));
    }

    /// Each delivery takes 2 seconds, so 30 of 1200 notices a minute are delivered one by one.
    #[test]
    fn a_receiver_slower_than_the_rate_gets_a_summary_each_minute() {
        let mut paced = Paced::new(1000, 60);
        let (start, mut busy_until, mut summaries, mut singly) = (paced.now, None, Vec::new(), 0);
        for second in 0..600_u64 {
            paced.now = start + second;
            for n in 0..20 {
                paced.push(&format!("+{second}x{n}"));
            }
            let now = Moment(paced.now * SECOND);
            let mut state = paced.queue.lock();
            if busy_until == Some(paced.now) {
                state.note_done(1, now);
                busy_until = None;
            }
            if busy_until.is_none() {
                let Due::Deliver(batch) = state.due(1, now) else { panic!("something always waits") };
                busy_until = Some(paced.now + 2);
                match &batch[0].content {
                    QueuedContent::Summary(summary) => summaries.push((second, summary.notices())),
                    QueuedContent::Notice(_) => singly += 1,
                }
            }
        }
        let times: Vec<u64> = summaries.iter().map(|(second, _)| *second).collect();
        assert_eq!(times, [62, 124, 186, 248, 310, 372, 434, 496, 558]);
        let told = singly + summaries.iter().map(|(_, notices)| notices).sum::<u64>();
        assert!(told > 550 * 20, "what waits is of the last minute: {told}");
    }

    /// A delivery that takes longer than the minute does not begin another one.
    #[test]
    fn a_minute_that_ends_during_a_delivery_has_its_summary() {
        let mut paced = Paced::new(100, 1);
        paced.push("+a +b +c");
        assert_eq!(paced.deliver(), said("+a", Some(1060)));
        paced.now = 1060;
        let due = paced.queue.lock().due(1, Moment(1060 * SECOND));
        let Due::Deliver(batch) = due else { panic!("{due:?}") };
        assert_eq!(text(&batch[0]), "*2");
        paced.queue.lock().note_done(1, Moment(1060 * SECOND));
        // The window of that summary ends at 1120, while the next notice is being delivered.
        paced.now = 1061;
        paced.push("+d +e +f");
        let due = paced.queue.lock().due(1, Moment(1061 * SECOND));
        assert!(matches!(due, Due::Deliver(_)), "{due:?}");
        paced.now = 1130;
        paced.push("+g");
        paced.queue.lock().note_done(1, Moment(1130 * SECOND));
        assert_eq!(paced.deliver(), said("*2 +g", None));
    }

    #[test]
    fn a_quiet_minute_has_no_summary_and_what_comes_after_it_is_delivered() {
        let mut paced = Paced::new(100, 2);
        paced.push("+a +b");
        assert_eq!(paced.deliver(), said("+a +b", None));
        // Nothing waited when the minute was over, so what comes now begins another one.
        paced.now += 61;
        paced.push("+c +d");
        assert_eq!(paced.deliver(), said("+c +d", None));
        // What comes before the end of the minute is in the summary, and what comes later is not, also if nobody looked
        // in between.
        paced.now += 59;
        paced.push("+e");
        paced.now += 2;
        paced.push("+f");
        assert_eq!(paced.deliver(), said("*1 +f", None));
    }

    #[test]
    fn openings_go_first_when_there_is_too_much_and_never_before_an_earlier_notice_of_their_alert() {
        let cases = [
            // Within the rate the order is that of the queue.
            ("+a ^a -a", 3, "+a ^a -a"),
            ("+a ^a -a +b !b +c", 4, "+a +b !b +c"),
            ("^x -y +a", 2, "+a ^x"),
            // The alert opens again: its end comes before that.
            ("-a +a +b", 2, "+b -a"),
            ("-a +a +b", 1, "+b"),
            ("^a !a -a +b", 3, "+b ^a !a"),
        ];
        for (pushed, rate, delivered) in cases {
            let mut paced = Paced::new(100, rate);
            paced.push(pushed);
            assert_eq!(paced.deliver().0, delivered, "{pushed}");
            paced.now += 60;
            let rest = pushed.split(' ').count() - delivered.split(' ').count();
            let summary = if rest == 0 { String::new() } else { format!("*{rest}") };
            assert_eq!(paced.deliver(), (summary, None), "{pushed}");
        }
    }

    /// The receiver is down while a flood comes.
    #[test]
    fn a_full_queue_sheds_nothing_if_there_is_a_rate() {
        let mut paced = Paced::new(10, 3);
        paced.push("-x +a");
        for n in 0..1000 {
            paced.push(&format!("+n{n} -n{n}"));
        }
        let (singly, more_at) = paced.deliver();
        assert_eq!((singly.as_str(), more_at), ("+a +n0 +n1", Some(1060)), "the first openings stayed");
        paced.now = 1060;
        assert_eq!(paced.deliver(), said("*1999", None));
        assert_eq!(paced.counts().0, 1999);
        // A draft without a minute that it waits for is complete when nothing waits before it.
        let mut paced = Paced::new(2, 5);
        paced.push("+a +b +c");
        assert_eq!(paced.deliver(), said("+a", Some(1060)), "what comes after the draft waits for it");
        paced.now = 1060;
        assert_eq!(paced.deliver(), said("*2", None));
    }

    #[test]
    fn at_the_end_and_without_a_rate_nothing_waits_for_the_end_of_the_minute() {
        let mut paced = Paced::new(100, 1);
        paced.push("+a +b +c");
        assert_eq!(paced.deliver(), said("+a", Some(1060)));
        paced.queue.close();
        assert_eq!(paced.deliver(), said("*2", None));

        // Neither does what the rate lets through: the time left may suffice for one attempt only.
        for (pushed, delivered) in [("+a", "+a"), ("+a +b +c", "*3")] {
            let mut paced = Paced::new(100, 60);
            assert!(!paced.queue.has_undone());
            paced.push(pushed);
            assert!(paced.queue.has_undone());
            paced.queue.close();
            assert_eq!(paced.deliver(), said(delivered, None));
            assert!(!paced.queue.has_undone());
        }
        // A draft is not done, although no notice waits.
        let mut paced = Paced::new(4, 2);
        paced.push("+a +b +c +d");
        paced.push("+e");
        assert_eq!(paced.deliver(), said("+a +b", Some(1060)));
        assert!(paced.queue.has_undone());
        paced.queue.close();
        assert_eq!(paced.counts().1, 1, "the summary is queued at once");
        assert_eq!(paced.deliver(), said("*3", None));
        assert!(!paced.queue.has_undone());

        let mut paced = Paced::new(4, 1);
        paced.push("+a +b +c +d +e +f");
        assert_eq!(paced.deliver(), said("+a", Some(1060)));
        let limits = QueueLimits { max: 4, wants_growth: true, rate: None };
        paced.queue.replace((), limits);
        assert_eq!(paced.deliver(), said("*3 +e +f", None), "the draft has been one already");

        let mut paced = Paced::new(100, 1);
        paced.push("+a +b +c +d");
        assert_eq!(paced.deliver(), said("+a", Some(1060)));
        paced.queue.replace((), QueueLimits { rate: Some(AlertRate::per_minute(3)), ..limits });
        assert_eq!(paced.deliver(), said("+b +c", Some(1060)), "a higher rate is in force at once");
        paced.queue.replace((), QueueLimits { rate: Some(AlertRate::per_minute(1)), ..limits });
        paced.push("+e");
        assert_eq!(paced.deliver(), said("", Some(1060)));
        paced.now = 1060;
        assert_eq!(paced.deliver(), said("*2", None));
    }

    #[test]
    fn no_notice_is_delivered_before_an_earlier_one_of_its_alert_that_is_in_a_draft() {
        // The queue and rate, what comes, and what is delivered at once and at the end of the minute.
        let cases = [
            (2, 5, "+a +b -b", "+a", "*2"),
            (4, 2, "+a +b +c +d -d -c", "+a +b", "*4"),
            // The draft takes in more, several times.
            (2, 1, "+a +b -a +c -c -b +d -d", "+a", "*7"),
        ];
        for (max, rate, pushed, singly, summary) in cases {
            let mut paced = Paced::new(max, rate);
            paced.push(pushed);
            assert_eq!(paced.deliver(), said(singly, Some(1060)), "{pushed}");
            paced.now = 1060;
            assert_eq!(paced.deliver(), said(summary, None), "{pushed}");
        }
        // What comes after the end of the minute is of the next one, and comes after the summary.
        let mut paced = Paced::new(4, 2);
        paced.push("+a +b +c +d +e");
        assert_eq!(paced.deliver(), said("+a +b", Some(1060)));
        paced.now = 1061;
        paced.push("-d");
        assert_eq!(paced.deliver(), said("*3 -d", None));
        // A slow receiver did not get what waits before the draft: the draft has later notices of that.
        let mut paced = Paced::new(4, 2);
        paced.push("+x");
        assert_eq!(paced.deliver(), said("+x", None));
        paced.push("+a +b -a -b +c");
        paced.now = 1060;
        assert_eq!(paced.deliver(), said("*5", None));
        // The summary has the state of each alert, although the openings that were kept back were taken in last.
        let mut paced = Paced::new(4, 2);
        paced.push("+a +b -a -b +c");
        paced.now = 1060;
        paced.queue.replace((), QueueLimits { max: 4, wants_growth: true, rate: None });
        let due = paced.queue.lock().due(1, Moment(0));
        let Due::Deliver(batch) = due else { panic!("{due:?}") };
        let QueuedContent::Summary(summary) = &batch[0].content else { panic!("{batch:?}") };
        let states = summary.named.iter().map(|named| (named.id.as_str(), named.state));
        assert_eq!(states.collect::<Vec<_>>(), [("a", AlertState::Closed), ("b", AlertState::Closed)]);
    }

    /// A higher rate lets more through at once, but nothing that is later than what is in the draft.
    #[test]
    fn a_reload_completes_a_draft() {
        let mut paced = Paced::new(4, 1);
        paced.push("+a +b +c +d -c");
        assert_eq!(paced.deliver(), said("+a", Some(1060)));
        let rate = Some(AlertRate::per_minute(3));
        paced.queue.replace((), QueueLimits { max: 4, wants_growth: true, rate });
        assert_eq!(paced.deliver(), said("*3 -c", None));
    }

    /// A reload turns `NoDestinations` on while a notice is being delivered and others wait.
    #[test]
    fn destinations_are_hidden_in_everything_that_is_not_done() {
        let mut paced = Paced::new(4, 2);
        paced.push("+a +b +c +d +e");
        let Due::Deliver(_) = paced.queue.lock().due(1, Moment(1000 * SECOND)) else { panic!("one is due") };
        let shown = || {
            let mut shown = 0;
            paced.queue.with_undone(|undone| {
                shown += undone
                    .filter_map(QueuedNotice::alert)
                    .filter(|alert| !alert.destinations.is_empty())
                    .count();
            });
            shown
        };
        assert_eq!(shown(), 3, "one is given out, one waits, one is after the draft");
        paced.queue.hide_destinations();
        assert_eq!(shown(), 0);
        assert_eq!(paced.queue.given_out().iter().map(|queued| text(queued)).collect::<Vec<_>>(), ["+a"]);
    }

    /// Returns a summary that an earlier process left, about one opening.
    fn restored_summary(number: u64, is_complete: bool) -> Arc<QueuedNotice> {
        let mut summary = NoticeSummary { is_complete, ..NoticeSummary::default() };
        summary.take_in([(1, UnixNanos(7), &notice("+z"))]);
        Arc::new(QueuedNotice::new(number, UnixNanos(9), summary))
    }

    #[test]
    fn restored_summaries_and_drafts_come_before_all_notices() {
        let mut paced = Paced::new(100, 2);
        paced.number = 10;
        let restored_notice = |number, word| Arc::new(QueuedNotice::new(number, UnixNanos(8), notice(word)));
        let others = paced.queue.push_restored(vec![
            // This notice may be later than those in the draft: numbers are given out before notices are queued.
            restored_notice(2, "-z"),
            restored_summary(3, false),
            restored_summary(4, true),
            restored_summary(5, false),
            restored_notice(6, "+y"),
        ]);
        assert_eq!(others.iter().map(|queued| queued.number).collect::<Vec<_>>(), [6]);
        assert_eq!(paced.counts(), (1, 4), "a notice that is in the draft now, and three summaries");
        let mut undone = Vec::new();
        paced.queue.with_undone(|waiting| undone.extend(waiting.map(text)));
        assert_eq!(undone, ["*1", "*2", "*1"]);
        paced.push("-z +b");
        assert_eq!(paced.deliver(), said("*1 *2 *1 -z +b", None));
    }
}
