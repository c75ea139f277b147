//! Mutes: networks whose alerts are not notified for some time.
//!
//! A mute shows its end by the wall clock, but expires by the monotonic clock, so that a step of the wall clock does
//! not change how long it lasts. After a step its end is shown, and saved, by the corrected clock. The time in which
//! the machine was suspended is taken off what is left of it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use ipnet::IpNet;
use tracing::info;

use crate::detect::PrefixMap;
use crate::published::Published;
use crate::store::{StateWriter, Ticket};
use crate::time::{Moment, UnixNanos};

use super::json::rfc3339;
use super::record::AlertKind;
use super::wall_clock::ClockStep;

/// Maximum number of mutes in force at once.
pub(crate) const MUTES_MAX: usize = 1000;

/// Maximum duration of a mute.
pub(crate) const MUTE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Maximum number of characters in a reason.
pub(crate) const REASON_CHARS_MAX: usize = 200;

/// Returns true if the text can be the reason of a mute: at most [`REASON_CHARS_MAX`] characters, none of them a
/// control character.
pub(crate) fn is_reason(text: &str) -> bool {
    text.chars().count() <= REASON_CHARS_MAX && !text.contains(char::is_control)
}

/// Returns true if a network is so large that a mute of it may be a mistake: more than a /8 of IPv4 or a /32 of IPv6.
pub(crate) fn is_wide_network(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 8,
        IpNet::V6(network) => network.prefix_len() < 32,
    }
}

/// A request for a mute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewMute {
    /// The hosts that it covers.
    pub(crate) source: IpNet,
    /// The kind of alerts that it covers; `None` covers all kinds.
    pub(crate) kind: Option<AlertKind>,
    /// Its duration; reduced to [`MUTE_MAX`] if it is longer.
    pub(crate) span: Duration,
    /// Why it was made; at most [`REASON_CHARS_MAX`] characters.
    pub(crate) reason: String,
}

/// A mute in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mute {
    /// Its number, counted from 1 and never reused.
    pub(crate) id: u64,
    /// The hosts that it covers.
    pub(crate) source: IpNet,
    /// The kind of alerts that it covers; `None` covers all kinds.
    pub(crate) kind: Option<AlertKind>,
    /// When it was made.
    pub(crate) made_at: UnixNanos,
    /// When it ends.
    pub(crate) until: UnixNanos,
    /// Why it was made.
    pub(crate) reason: String,
}

/// The error that [`MUTES_MAX`] mutes are in force already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyMutes;

/// All mutes in force.
#[derive(Debug, Default)]
pub(super) struct Mutes {
    /// Each mute and the time of its end on the monotonic clock, by number.
    in_force: BTreeMap<u64, (Mute, Moment)>,
    /// The kinds that are muted in each network; `None` stands for all kinds.
    by_network: PrefixMap<Vec<Option<AlertKind>>>,
    last_id: u64,
}

impl Mutes {
    /// Adds a mute that is in force from `now` on. Returns it.
    ///
    /// # Errors
    /// [`MUTES_MAX`] mutes are in force already.
    pub(super) fn add(
        &mut self,
        new: NewMute,
        now: Moment,
        wall_clock: UnixNanos,
    ) -> Result<Mute, TooManyMutes> {
        if self.in_force.len() >= MUTES_MAX {
            return Err(TooManyMutes);
        }
        let NewMute { source, kind, span, reason } = new;
        let until = wall_clock.plus(span.min(MUTE_MAX));
        self.last_id = self.last_id.saturating_add(1);
        let mute = Mute { id: self.last_id, source, kind, made_at: wall_clock, until, reason };
        self.in_force.insert(mute.id, (mute.clone(), now.plus(span.min(MUTE_MAX))));
        self.index();
        Ok(mute)
    }

    /// Restores the mutes that were in force before a restart and have not ended since. Returns how many of them had
    /// impossible times.
    ///
    /// A mute that was made in the future was made while the clock was ahead, or the clock is behind now. It lasts its
    /// own length from `now` on. No mute lasts longer than [`MUTE_MAX`] from `now` on. The log warns of each mute of a
    /// [wide network](is_wide_network).
    pub(super) fn restore(
        &mut self,
        mutes: Vec<Mute>,
        last_id: u64,
        now: Moment,
        wall_clock: UnixNanos,
    ) -> usize {
        let mut corrected = 0;
        self.in_force.clear();
        for mut mute in mutes {
            let is_from_future = mute.made_at > wall_clock;
            let from = if is_from_future { mute.made_at } else { wall_clock };
            let left = mute.until.since(from);
            if left.is_zero() {
                continue;
            }
            if is_from_future || left > MUTE_MAX {
                (mute.made_at, mute.until) = (wall_clock, wall_clock.plus(left.min(MUTE_MAX)));
                corrected += 1;
            }
            if is_wide_network(&mute.source) {
                let Mute { id, source, until, .. } = &mute;
                let until = rfc3339(*until);
                tracing::warn!(
                    "mute {id} of before the start holds back alerts about all of {source} until {until}"
                );
            }
            self.in_force.insert(mute.id, (mute, now.plus(left.min(MUTE_MAX))));
        }
        self.last_id = last_id;
        self.index();
        corrected
    }

    /// Corrects the times that mutes show after a step of the wall clock. What is left of them does not change.
    pub(super) fn correct(&mut self, step: ClockStep) {
        for (mute, _) in self.in_force.values_mut() {
            step.correct(&mut mute.made_at);
            step.correct(&mut mute.until);
        }
    }

    /// Lets all mutes expire earlier by that time.
    pub(super) fn shorten(&mut self, by: Duration) {
        self.in_force.values_mut().for_each(|(_, ends)| *ends = ends.minus(by));
    }

    /// Returns the number of the last mute that was made; 0 before the first.
    pub(super) fn last_id(&self) -> u64 {
        self.last_id
    }

    /// Removes a mute. Returns true if it was in force.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        let was_there = self.in_force.remove(&id).is_some();
        if was_there {
            self.index();
        }
        was_there
    }

    /// Removes the mutes whose time is over. Returns true if a mute was removed.
    pub(super) fn expire(&mut self, now: Moment) -> bool {
        let before = self.in_force.len();
        self.in_force.retain(|id, (mute, ends)| {
            let is_in_force = now < *ends;
            if !is_in_force {
                let kind = mute.kind.map_or("all", AlertKind::name);
                info!("mute {id} is over: it held back {kind} alerts about {}", mute.source);
            }
            is_in_force
        });
        let any = self.in_force.len() < before;
        if any {
            self.index();
        }
        any
    }

    /// Returns true if alerts of this kind about the host are muted. Alerts about the capture itself, without a source,
    /// are never muted.
    pub(super) fn cover(&self, source: Option<IpAddr>, kind: AlertKind) -> bool {
        let Some(source) = source else { return false };
        let is_muted = |muted: &Option<AlertKind>| muted.is_none_or(|muted| muted == kind);
        self.by_network.all_of(&source).any(|kinds| kinds.iter().any(is_muted))
    }

    /// Returns true if a mute covers all hosts of a network for alerts of this kind.
    pub(super) fn cover_network(&self, network: IpNet, kind: AlertKind) -> bool {
        let mut mutes = self.list().filter(|mute| mute.kind.is_none_or(|muted| muted == kind));
        mutes.any(|mute| mute.source.contains(&network))
    }

    /// Returns the mutes in force, the oldest first.
    pub(super) fn list(&self) -> impl Iterator<Item = &Mute> {
        self.in_force.values().map(|(mute, _)| mute)
    }

    /// Builds `by_network` from the mutes in force.
    fn index(&mut self) {
        let mut kinds: BTreeMap<IpNet, Vec<Option<AlertKind>>> = BTreeMap::new();
        for (mute, _) in self.in_force.values() {
            kinds.entry(mute.source.trunc()).or_default().push(mute.kind);
        }
        self.by_network = PrefixMap::new(kinds);
    }
}

/// A change of the mutes that an API client requested, and the callback that takes the reply.
#[derive(Debug)]
pub(crate) enum MuteRequest {
    /// Make a mute.
    Add(NewMute, MuteReply<Result<Mute, TooManyMutes>>),
    /// Remove the mute of this number; the reply is true if it was in force.
    Remove(u64, MuteReply<bool>),
}

/// A callback that takes one reply. It runs on the analyst's thread and must not block.
pub(crate) struct MuteReply<T>(Box<dyn FnOnce(T) + Send>);

impl<T> MuteReply<T> {
    /// Creates a reply that calls `take`.
    pub(crate) fn new(take: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Box::new(take))
    }

    /// Sends the reply.
    pub(crate) fn send(self, reply: T) {
        (self.0)(reply);
    }
}

impl<T> fmt::Debug for MuteReply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MuteReply")
    }
}

/// A handle to the mutes of the analyst: it queues requests and lists the mutes in force. No method blocks.
#[derive(Clone)]
pub struct MuteHandle {
    queue: SyncSender<MuteRequest>,
    wake: Arc<dyn Fn() + Send + Sync>,
    list: Arc<Published<Vec<Mute>>>,
    store: Option<StateWriter>,
}

impl MuteHandle {
    /// Creates a handle that queues requests in `queue`. `wake` is called after each request. It wakes the thread that
    /// empties the queue, publishes the mutes in force in `list`, and submits them to `store`.
    pub(crate) fn new(
        queue: SyncSender<MuteRequest>,
        wake: impl Fn() + Send + Sync + 'static,
        list: Arc<Published<Vec<Mute>>>,
        store: Option<StateWriter>,
    ) -> Self {
        Self { queue, wake: Arc::new(wake), list, store }
    }

    /// Queues a request. Returns false if the queue is full or its reader has ended.
    pub(crate) fn request(&self, request: MuteRequest) -> bool {
        match self.queue.try_send(request) {
            Ok(()) => {
                (self.wake)();
                true
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// Returns a ticket for the changes of all requests that were answered; `None` without a state directory.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        self.store.as_ref().map(StateWriter::latest)
    }

    /// Returns true if the changes of a ticket are saved.
    pub(crate) fn is_saved(&self, ticket: Ticket) -> bool {
        self.store.as_ref().is_some_and(|store| store.is_committed(ticket))
    }

    /// Returns the mutes in force, the oldest first. They include the effect of each request whose reply was sent.
    pub(crate) fn list(&self) -> Arc<Vec<Mute>> {
        self.list.read()
    }
}

impl fmt::Debug for MuteHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MuteHandle").field("list", &self.list).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn new(source: &str, kind: Option<AlertKind>, seconds: u64) -> NewMute {
        let source = source.parse().expect("a network");
        NewMute { source, kind, span: Duration::from_secs(seconds), reason: String::new() }
    }

    #[test]
    fn a_mute_covers_its_network_and_kind_until_its_end() {
        let mut mutes = Mutes::default();
        let at = |second: u64| Moment(second * SECOND);
        let first =
            mutes.add(new("10.0.0.0/8", Some(AlertKind::Traffic), 60), at(100), UnixNanos(7 * SECOND));
        assert_eq!(first.map(|mute| (mute.id, mute.until)), Ok((1, UnixNanos(67 * SECOND))));
        mutes.add(new("10.0.5.0/24", Some(AlertKind::Scanning), 30), at(100), UnixNanos(0)).expect("room");
        mutes.add(new("fd00::1/128", None, 90), at(100), UnixNanos(0)).expect("room");
        let covers = |mutes: &Mutes, source: &str, kind| mutes.cover(source.parse().ok(), kind);
        // The smaller network has a mute of another kind; the mute of the larger one applies as well.
        assert!(
            covers(&mutes, "10.0.5.1", AlertKind::Traffic) && covers(&mutes, "10.0.5.1", AlertKind::Scanning)
        );
        assert!(!covers(&mutes, "10.9.5.1", AlertKind::Scanning));
        assert!(
            covers(&mutes, "fd00::1", AlertKind::ScanningPort) && !covers(&mutes, "fd00::2", AlertKind::Loss)
        );
        assert!(!mutes.cover(None, AlertKind::Loss), "an alert about losses has no host");
        assert!(!mutes.expire(at(129)));
        assert!(mutes.expire(at(130)));
        assert!(!covers(&mutes, "10.0.5.1", AlertKind::Scanning));
        assert!(mutes.remove(1) && !mutes.remove(1));
        assert!(!covers(&mutes, "10.0.5.1", AlertKind::Traffic));
        assert_eq!(mutes.list().map(|mute| mute.id).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_wide_network_is_more_than_a_slash_8_or_32() {
        for (network, is_wide) in [
            ("10.0.0.0/8", false),
            ("10.0.0.0/7", true),
            ("0.0.0.0/0", true),
            ("10.0.0.5/32", false),
            ("2001:db8::/32", false),
            ("2001:db8::/31", true),
            ("::/0", true),
        ] {
            assert_eq!(is_wide_network(&network.parse().expect("a network")), is_wide, "{network}");
        }
    }

    #[test]
    fn mutes_are_bounded_in_number_and_time() {
        let mut mutes = Mutes::default();
        for _ in 0..MUTES_MAX {
            let mute = mutes.add(new("10.0.0.1/32", None, u64::MAX), Moment(0), UnixNanos(0)).expect("room");
            assert_eq!(mute.until, UnixNanos(0).plus(MUTE_MAX));
        }
        assert_eq!(mutes.add(new("10.0.0.1/32", None, 1), Moment(0), UnixNanos(0)), Err(TooManyMutes));
        assert!(mutes.expire(Moment(0).plus(MUTE_MAX)));
        assert_eq!(mutes.list().count(), 0);
    }

    /// Times are in seconds of the wall clock; the process starts at 1000 on it and at 50 on the monotonic clock.
    #[test]
    fn a_restored_mute_lasts_at_most_its_own_length_and_thirty_days() {
        const DAY: u64 = 24 * 3600;
        let forever = u64::MAX / SECOND;
        let month = MUTE_MAX.as_secs();
        let cases = [
            // When it was made, its end, what is left of it, and whether its times were impossible.
            ((990, 1020), 20, false),
            ((400, 1000), 0, false),
            ((400, 999), 0, false),
            ((1000, 1060), 60, false),
            // The clock was ahead when it was made, or is behind now.
            ((1001, 1061), 60, true),
            ((4_102_444_800, 4_102_444_860), 60, true),
            ((4_102_444_800, 4_102_444_800), 0, false),
            ((1001, 1001 + month + 1), month, true),
            ((forever, forever), 0, false),
            // No mute of this program is that long.
            ((0, forever), month, true),
            ((1000, 1000 + month + DAY), month, true),
            ((0, 1000 + month), month, false),
        ];
        let (now, wall) = (Moment(50 * SECOND), UnixNanos(1000 * SECOND));
        for ((made_at, until), left, is_wrong) in cases {
            let saved = Mute {
                id: 1,
                source: "10.0.0.0/8".parse().expect("a network"),
                kind: None,
                made_at: UnixNanos(made_at * SECOND),
                until: UnixNanos(until * SECOND),
                reason: String::new(),
            };
            let mut mutes = Mutes::default();
            assert_eq!(mutes.restore(vec![saved.clone()], 1, now, wall), usize::from(is_wrong), "{saved:?}");
            let shown = mutes.list().next().cloned();
            let expected = match (left, is_wrong) {
                (0, _) => None,
                (_, false) => Some(saved),
                (_, true) => {
                    let until = wall.plus(Duration::from_secs(left));
                    Some(Mute { made_at: wall, until, ..saved })
                }
            };
            assert_eq!(shown, expected);
            if left > 0 {
                assert!(!mutes.expire(Moment((50 + left) * SECOND - 1)), "{made_at} {until}");
                assert!(mutes.expire(Moment((50 + left) * SECOND)), "{made_at} {until}");
            }
        }
    }
}
