//! The summary of the notices that a sink does not get one by one, because they are more than `AlertRate`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::alert::notice::Notice;
use crate::alert::record::{AlertKind, AlertState};
use crate::time::UnixNanos;

/// The word for a summary where an alert has its kind.
pub(in crate::alert::sink) const SUMMARY_KIND: &str = "SUMMARY";

/// The word for a summary where an alert has its state, and in the state database its step.
pub(in crate::alert::sink) const SUMMARY_STATE: &str = "summary";

/// Where the alerts of a summary can be read.
pub(super) const READ_AT: &str = "/api/v1/alerts";

/// Maximum number of alerts that a summary names.
pub(super) const NAMED_MAX: usize = 10;

/// What a sink learns of many notices at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::alert::sink) struct NoticeSummary {
    /// When the first of the notices was queued.
    pub(in crate::alert::sink) from: UnixNanos,
    /// When the last of them was queued.
    pub(in crate::alert::sink) to: UnixNanos,
    /// What the notices said, by the kind of their alerts.
    pub(in crate::alert::sink) kinds: BTreeMap<AlertKind, StepCounts>,
    /// The weightiest of the alerts, at most [`NAMED_MAX`]: first those whose opening is in the summary, then those
    /// that were not over, then those that exceeded their limits most often.
    pub(in crate::alert::sink) named: Vec<NamedAlert>,
    /// The number of the latest notice in it.
    pub(in crate::alert::sink) last: u64,
    /// True once its minute is over. Before that it takes in further notices and is not delivered.
    pub(in crate::alert::sink) is_complete: bool,
}

/// Numbers of notices by what they said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::alert::sink) struct StepCounts {
    pub(in crate::alert::sink) opened: u64,
    pub(in crate::alert::sink) confirmed: u64,
    pub(in crate::alert::sink) grown: u64,
    pub(in crate::alert::sink) closed: u64,
}

impl StepCounts {
    /// Returns the number of notices.
    pub(in crate::alert::sink) fn total(self) -> u64 {
        self.opened + self.confirmed + self.grown + self.closed
    }

    fn count(&mut self, notice: &Notice) {
        match notice {
            Notice::Opened(_) | Notice::Test(_) => self.opened += 1,
            Notice::Confirmed(_) => self.confirmed += 1,
            Notice::Grown(..) => self.grown += 1,
            Notice::Closed(_) => self.closed += 1,
        }
    }
}

/// An alert that a summary names, as the latest of its notices in the summary had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::alert::sink) struct NamedAlert {
    /// The number of the notice.
    pub(in crate::alert::sink) notice: u64,
    pub(in crate::alert::sink) id: String,
    pub(in crate::alert::sink) kind: AlertKind,
    /// The host; `None` if it is a storm or about the capture itself.
    pub(in crate::alert::sink) source: Option<IpAddr>,
    pub(in crate::alert::sink) state: AlertState,
    pub(in crate::alert::sink) measured: u64,
    pub(in crate::alert::sink) limit: u64,
    /// True if it is a storm, whose `measured` is its number of hosts.
    pub(in crate::alert::sink) is_storm: bool,
    /// True if its opening is in the summary, so that the receiver has not had it.
    pub(in crate::alert::sink) is_new: bool,
}

impl NamedAlert {
    fn of(number: u64, notice: &Notice) -> Self {
        let alert = notice.alert();
        Self {
            notice: number,
            id: alert.id.clone(),
            kind: alert.kind,
            source: alert.source,
            state: notice.state(),
            measured: alert.measured,
            limit: alert.limit,
            is_storm: alert.progress.storm.is_some(),
            is_new: matches!(notice, Notice::Opened(_)),
        }
    }

    /// Returns true if the alert was over at its latest notice in the summary.
    pub(super) fn has_ended(&self) -> bool {
        self.state == AlertState::Closed
    }

    /// Returns how often the limit was exceeded.
    pub(super) fn times(&self) -> u64 {
        self.measured / self.limit.max(1)
    }

    /// Returns what orders alerts by weight, the weightiest first.
    fn weight(&self) -> impl Ord + use<> {
        let share = u128::from(self.measured) * 1000 / u128::from(self.limit.max(1));
        (!self.is_new, self.has_ended(), std::cmp::Reverse(share))
    }
}

impl NoticeSummary {
    /// Returns the number of notices that it stands for.
    pub(in crate::alert::sink) fn notices(&self) -> u64 {
        self.steps().total()
    }

    /// Returns what the notices said, of all kinds.
    pub(in crate::alert::sink) fn steps(&self) -> StepCounts {
        self.kinds.values().fold(StepCounts::default(), |sum, counts| StepCounts {
            opened: sum.opened + counts.opened,
            confirmed: sum.confirmed + counts.confirmed,
            grown: sum.grown + counts.grown,
            closed: sum.closed + counts.closed,
        })
    }

    /// Takes in notices with their numbers and the times when they were queued. They may be earlier than some that it
    /// has, since a full queue keeps the first openings back.
    pub(in crate::alert::sink) fn take_in<'a>(
        &mut self,
        notices: impl IntoIterator<Item = (u64, UnixNanos, &'a Notice)>,
    ) {
        let (last, is_full) = (self.last, self.named.len() == NAMED_MAX);
        let mut named: BTreeMap<String, NamedAlert> =
            std::mem::take(&mut self.named).into_iter().map(|named| (named.id.clone(), named)).collect();
        for (number, at, notice) in notices {
            let is_first = self.kinds.is_empty();
            self.from = if is_first { at } else { self.from.min(at) };
            self.to = self.to.max(at);
            self.kinds.entry(notice.alert().kind).or_default().count(notice);
            self.last = self.last.max(number);
            let id = &notice.alert().id;
            let is_latest = match named.get(id) {
                Some(known) => known.notice < number,
                // A later notice of the alert, such as its end, may be among those that had no room.
                None => !is_full || last < number,
            };
            let latest = NamedAlert::of(number, notice);
            let is_new = latest.is_new || named.get(id).is_some_and(|known| known.is_new);
            if is_latest {
                named.insert(id.clone(), latest);
            }
            if let Some(named) = named.get_mut(id) {
                named.is_new = is_new;
            }
        }
        self.named = named.into_values().collect();
        self.named.sort_by_cached_key(NamedAlert::weight);
        self.named.truncate(NAMED_MAX);
    }
}

/// Returns the id of a summary, by which receivers recognise a repetition: of its number as a notice, and of the time
/// when it was made.
pub(in crate::alert::sink) fn summary_id(number: u64, at: UnixNanos) -> String {
    format!("summary-{}-{number}", at.0 / 1_000_000_000)
}
