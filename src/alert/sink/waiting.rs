//! The notices that wait for one sink: in which order they are given out, and which go first when there are too many.
//!
//! | the queue is full and | what is shed |
//! | --- | --- |
//! | ends or growths wait | the oldest of them |
//! | else confirmations wait | the oldest of them |
//! | only openings and tests wait | the notice that comes |
//!
//! So an opening that waits is never shed. The end of an alert whose opening was shed is shed as well, unless a growth
//! or confirmation between them said that it is open. With `AlertRate` nothing is shed: what is too much is taken out
//! for a summary.
//!
//! If more notices wait than `AlertRate` lets through, openings and confirmations are given out before growths and
//! ends, but never before an earlier notice of their own alert.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::alert::notice::Notice;
use crate::time::Moment;

use super::queued_notice::{QueuedContent, QueuedNotice};

/// Maximum number of notices that wait for a sink that is reached through a network or a program.
pub(super) const REMOTE_QUEUE_MAX: usize = 1000;

/// How much a notice matters when the queue is full; the least is shed first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Precedence {
    Later,
    Confirmation,
    Opening,
}

impl Precedence {
    const ALL: [Self; 3] = [Self::Later, Self::Confirmation, Self::Opening];

    fn of(queued: &QueuedNotice) -> Self {
        match &queued.content {
            QueuedContent::Notice(Notice::Closed(_) | Notice::Grown(..)) => Self::Later,
            QueuedContent::Notice(Notice::Confirmed(_)) => Self::Confirmation,
            QueuedContent::Notice(Notice::Opened(_) | Notice::Test(_)) | QueuedContent::Summary(_) => {
                Self::Opening
            }
        }
    }
}

/// The notices that wait, by number and by rank.
#[derive(Debug)]
pub(super) struct Waiting {
    max: usize,
    notices: BTreeMap<u64, Arc<QueuedNotice>>,
    by_rank: [BTreeSet<u64>; Precedence::ALL.len()],
    /// Numbers of the openings and confirmations that may be given out before growths and ends.
    first: BTreeSet<u64>,
    /// Ids of the alerts of the other notices that wait, and how many of each. Whatever follows them waits behind them.
    behind: BTreeMap<String, u32>,
    /// Ids of alerts whose openings were shed, and of which nothing was queued since.
    unheard: BTreeSet<String>,
}

/// Maximum number of ids of alerts whose openings were shed. Beyond it the end of such an alert is delivered.
const UNHEARD_MAX: usize = 20_000;

impl Waiting {
    /// Creates an empty queue of at most `max` notices.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            notices: BTreeMap::new(),
            by_rank: Default::default(),
            first: BTreeSet::new(),
            behind: BTreeMap::new(),
            unheard: BTreeSet::new(),
        }
    }

    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.notices.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.notices.len()
    }

    /// Returns true if there is no room for another notice.
    pub(super) fn is_full(&self) -> bool {
        self.notices.len() >= self.max
    }

    /// Returns the notices in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<QueuedNotice>> {
        self.notices.values()
    }

    /// Returns the notices in their order, each to be replaced by another form of it.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Arc<QueuedNotice>> {
        self.notices.values_mut()
    }

    /// Adds a notice. Returns the one that was shed: none, it, or another.
    pub(super) fn push(&mut self, queued: Arc<QueuedNotice>) -> Option<Arc<QueuedNotice>> {
        let rank = Precedence::of(&queued);
        let id = queued.alert_id();
        if self.is_unheard_end(&queued) {
            self.unheard.remove(id);
            return Some(queued);
        }
        let mut shed = None;
        if self.is_full() {
            let least = Precedence::ALL.into_iter().find(|rank| !self.by_rank[*rank as usize].is_empty());
            match least {
                Some(least) if least <= rank && least < Precedence::Opening => {
                    let oldest = self.by_rank[least as usize].first().copied();
                    shed = oldest.and_then(|number| self.remove(number));
                }
                _ => {
                    if rank == Precedence::Opening && self.unheard.len() < UNHEARD_MAX {
                        self.unheard.insert(id.to_owned());
                    }
                    return Some(queued);
                }
            }
        }
        self.insert(queued);
        shed
    }

    /// Returns true if a notice is the end of an alert whose opening was shed. Then it is shed as well.
    pub(super) fn is_unheard_end(&self, queued: &QueuedNotice) -> bool {
        let is_end = matches!(queued.content, QueuedContent::Notice(Notice::Closed(_)));
        is_end && self.unheard.contains(queued.alert_id())
    }

    /// Adds a notice for which there is room.
    pub(super) fn insert(&mut self, queued: Arc<QueuedNotice>) {
        let rank = Precedence::of(&queued);
        let id = queued.alert_id();
        self.unheard.remove(id);
        self.by_rank[rank as usize].insert(queued.number);
        if rank > Precedence::Later && !self.behind.contains_key(id) {
            self.first.insert(queued.number);
        } else {
            *self.behind.entry(id.to_owned()).or_default() += 1;
        }
        self.notices.insert(queued.number, queued);
    }

    /// Takes at most `max` notices in their order.
    pub(super) fn take(&mut self, max: usize) -> Vec<Arc<QueuedNotice>> {
        let taken: Vec<u64> = self.notices.keys().copied().take(max).collect();
        self.remove_all(&taken)
    }

    /// Takes at most `max` notices, openings and confirmations first.
    pub(super) fn take_weightiest(&mut self, max: usize) -> Vec<Arc<QueuedNotice>> {
        let taken = self.weightiest(max);
        self.remove_all(&taken)
    }

    /// Takes all notices but the `max` that [`take_weightiest`](Self::take_weightiest) would take.
    pub(super) fn take_all_but(&mut self, max: usize) -> Vec<Arc<QueuedNotice>> {
        let kept: BTreeSet<u64> = self.weightiest(max).into_iter().collect();
        let taken: Vec<u64> = self.notices.keys().copied().filter(|number| !kept.contains(number)).collect();
        self.remove_all(&taken)
    }

    /// Returns how many notices this process queued before `end`.
    pub(super) fn count_before(&self, end: Moment) -> usize {
        self.iter().filter(|queued| queued.since < end).count()
    }

    /// Takes the notices that this process queued before `end`.
    pub(super) fn take_before(&mut self, end: Moment) -> Vec<Arc<QueuedNotice>> {
        let taken: Vec<u64> =
            self.iter().filter(|queued| queued.since < end).map(|queued| queued.number).collect();
        self.remove_all(&taken)
    }

    fn weightiest(&self, max: usize) -> Vec<u64> {
        let others = self.notices.keys().filter(|number| !self.first.contains(number));
        self.first.iter().chain(others).copied().take(max).collect()
    }

    fn remove_all(&mut self, numbers: &[u64]) -> Vec<Arc<QueuedNotice>> {
        numbers.iter().filter_map(|number| self.remove(*number)).collect()
    }

    fn remove(&mut self, number: u64) -> Option<Arc<QueuedNotice>> {
        let queued = self.notices.remove(&number)?;
        self.by_rank[Precedence::of(&queued) as usize].remove(&number);
        if !self.first.remove(&number)
            && let Some(count) = self.behind.get_mut(queued.alert_id())
        {
            *count -= 1;
            if *count == 0 {
                self.behind.remove(queued.alert_id());
            }
        }
        Some(queued)
    }
}
