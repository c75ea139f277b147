//! Compares the counts of each interface with those of the kernel.
//!
//! Both grow while they are read. So our counts are compared with an older reading of the kernel's counters. It is old
//! enough that the workers have handed over all packets that it contains.
//!
//! The counts are not compared if they cannot agree: if frames stand for an unknown number of packets (not wire exact),
//! if the filter in the kernel drops some of them, or if some interfaces do not have a row of their own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::capture::{KernelStats, LinkCounters, LinkStats, Verdict};
use crate::detect::InterfaceReconciliation;
use crate::flow::{DirectionCounts, InterfaceCounts, OVERFLOW_IFINDEX, Window};
use crate::report::InterfaceReport;
use crate::time::Moment;

/// Readings of the kernel's counters, and the interfaces that have gone.
#[derive(Debug, Default)]
pub(super) struct InterfaceReconciler {
    /// The newest reading is last; the first is the one that our counts are compared with.
    readings: VecDeque<Arc<KernelStats>>,
    /// The last reading of each interface that has gone, the latest last.
    gone: VecDeque<LinkStats>,
    /// Interfaces with counts that the last reading did not contain. If the next reading does not contain them either,
    /// their rows are retired.
    without_reading: BTreeSet<u32>,
    /// The counts at the beginning of the last [`SNAPSHOT_INTERVAL`] but one, and of the last.
    snapshots: [CounterSnapshot; 2],
    /// Interfaces for which a warning about offload was logged.
    suspected: BTreeSet<u32>,
}

/// The counts at one time.
#[derive(Debug, Default)]
struct CounterSnapshot {
    at: Moment,
    tp_drops: u64,
    /// For each interface, two numbers of ingress packets: those that we saw, and those that the kernel counted.
    ingress: BTreeMap<u32, (u64, u64)>,
}

/// Maximum number of gone interfaces that are still shown by name; the rows of those that went earlier are retired.
const GONE_MAX: usize = 64;
/// Packets that the kernel counted this long ago are folded. It allows for the timeout of a block, a tick and a busy
/// analyst.
const HANDED_OVER_AFTER: Duration = Duration::from_secs(1);
/// Minimum time between a stored reading and the next but one: a new reading replaces the last if it is closer than
/// this to the one before the last. Each change of an interface causes a reading, so readings may be very close.
const READING_INTERVAL_MIN: Duration = Duration::from_millis(250);
/// Missing packets are searched for in the last one or two of these intervals. So they are found even after a year in
/// which none was missing, and the suspicion ends at most two intervals after the last missing packet.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(60);

impl InterfaceReconciler {
    /// Adds a reading, unless it is neither newer than the last nor has other interfaces, and retires the rows of
    /// interfaces that have been gone for long.
    pub(super) fn add_reading(&mut self, view: Arc<KernelStats>, window: &mut Window) {
        let now = self.now();
        if view.read_at <= now.read_at && view.interfaces == now.interfaces {
            return;
        }
        let is_there = |ifindex| find(&view, ifindex).is_some();
        // An interface with the number of a gone one may be another interface.
        let returned = self.gone.iter().map(|link| link.ifindex).filter(|&ifindex| is_there(ifindex));
        let mut forgotten: Vec<u32> = returned.collect();
        self.gone.retain(|link| !is_there(link.ifindex));
        self.gone.extend(now.interfaces.iter().filter(|link| !is_there(link.ifindex)).cloned());
        self.gone.drain(..self.gone.len().saturating_sub(GONE_MAX));
        self.suspected.retain(|&ifindex| is_there(ifindex));

        let is_known = |ifindex| is_there(ifindex) || self.gone.iter().any(|link| link.ifindex == ifindex);
        let without_reading: BTreeSet<u32> =
            window.interfaces().keys().copied().filter(|&ifindex| !is_known(ifindex)).collect();
        // A new interface may have counts before the first reading that has it.
        forgotten.extend(without_reading.intersection(&self.without_reading));
        forgotten.into_iter().for_each(|ifindex| window.retire_interface(ifindex));
        self.without_reading = without_reading;
        self.push_reading(view);
    }

    /// Adds a reading, and removes those that are older than needed.
    fn push_reading(&mut self, view: Arc<KernelStats>) {
        let read_at = view.read_at;
        match self.readings.len().checked_sub(2).map(|before| self.readings[before].read_at) {
            // Only the newest of readings that are close to each other is needed.
            Some(before) if read_at.since(before) < READING_INTERVAL_MIN => {
                self.readings.pop_back();
            }
            _ => {}
        }
        self.readings.push_back(view);
        while self.readings.get(1).is_some_and(|next| read_at.since(next.read_at) >= HANDED_OVER_AFTER) {
            self.readings.pop_front();
        }
    }

    /// Returns the newest reading; an empty one before the first.
    fn now(&self) -> Arc<KernelStats> {
        self.readings.back().cloned().unwrap_or_default()
    }

    /// Returns the newest reading that is old enough to compare with; an empty one if none is.
    fn before(&self) -> Arc<KernelStats> {
        let (first, last) = (self.readings.front(), self.readings.back());
        let is_old = |first: &&Arc<KernelStats>| {
            last.is_some_and(|last| last.read_at.since(first.read_at) >= HANDED_OVER_AFTER)
        };
        first.filter(is_old).cloned().unwrap_or_default()
    }

    /// Returns a row for each interface that exists or has counts, by ascending number. Counts are compared with the
    /// kernel's only with `is_wire_exact`, which means that a frame counts as all packets that it stands for.
    pub(super) fn report(&mut self, window: &Window, is_wire_exact: bool) -> Vec<InterfaceReport> {
        let (now, before) = (self.now(), self.before());
        let counts = window.interfaces();
        let is_comparable = is_wire_exact && window.every_interface_has_a_row();
        let mut rows: BTreeMap<u32, InterfaceReport> = BTreeMap::new();
        for link in now.interfaces.iter().chain(&self.gone) {
            let counted = counts.get(&link.ifindex).copied().unwrap_or_default();
            let is_gone = find(&now, link.ifindex).is_none();
            if !is_gone || counted != InterfaceCounts::default() {
                let before = find(&before, link.ifindex).map(LinkStats::since_start).unwrap_or_default();
                let row = row(link, counted, &before, is_comparable);
                rows.insert(link.ifindex, InterfaceReport { is_gone, ..row });
            }
        }
        for (&ifindex, &counted) in counts {
            let unknown =
                || InterfaceReport { ifindex, is_gone: true, counted, ..InterfaceReport::default() };
            if ifindex != OVERFLOW_IFINDEX || counted != InterfaceCounts::default() {
                rows.entry(ifindex).or_insert_with(unknown);
            }
        }
        let mut rows: Vec<InterfaceReport> = rows.into_values().collect();
        self.find_offload(&mut rows, now.read_at, window.accounting().kernel.tp_drops);
        rows
    }

    /// Marks interfaces of which we see far fewer packets than the kernel, and logs a warning once for each.
    fn find_offload(&mut self, rows: &mut [InterfaceReport], now: Moment, tp_drops: u64) {
        let [older, newer] = &self.snapshots;
        for row in rows.iter_mut().filter(|row| !row.is_gone) {
            let Some(reconciliation) = row.ingress else { continue };
            let (packets, kernel) = older.ingress.get(&row.ifindex).copied().unwrap_or_default();
            // Packets that our ring dropped are not counted as missing.
            let lost = tp_drops.saturating_sub(older.tp_drops);
            row.suspicion = InterfaceReconciliation {
                packets: reconciliation.packets.saturating_sub(packets) + lost,
                kernel_before: reconciliation.kernel_before.saturating_sub(kernel),
                ..reconciliation
            }
            .suspicion();
            if let (Some(seen), Some(name)) = (row.suspicion, &row.name)
                && self.suspected.insert(row.ifindex)
            {
                warn!(
                    "offload suspected: we see {seen} of what {name} receives. Hardware or flow offload hides packets \
                     from every monitor; turn it off on that interface to have them counted"
                );
            }
        }
        if now.since(newer.at) >= SNAPSHOT_INTERVAL {
            let ingress = rows.iter().filter_map(|row| {
                let reconciliation = row.ingress?;
                // What the sockets received after the latest reading is left out of the one, and the other has
                // everything up to that reading: packets of a burst at this moment must not seem to be missing later.
                let InterfaceReconciliation { packets, kernel_now, .. } = reconciliation;
                Some((row.ifindex, (packets.min(kernel_now), kernel_now)))
            });
            let newest = CounterSnapshot { at: now, tp_drops, ingress: ingress.collect() };
            self.snapshots = [std::mem::take(&mut self.snapshots[1]), newest];
        }
    }
}

/// Returns the row of one interface. `before` has the kernel's counters of the reading to compare with.
fn row(
    link: &LinkStats,
    counted: InterfaceCounts,
    before: &LinkCounters,
    is_comparable: bool,
) -> InterfaceReport {
    let kernel = link.since_start();
    // If an interface is skipped or hides VLANs, the filter in the kernel drops some or all of its packets. Copies that
    // tc mirred makes may be in one of the two counts only.
    let is_whole = is_comparable && link.is_comparable && link.skipped.is_none() && !link.hides_vlans;
    // With other verdicts the filter may pass only some of the egress packets, so they are not compared.
    let sees_all_egress = matches!(link.egress, Verdict::Count | Verdict::CountIfOwn);
    let reconciliation = |crossed: &DirectionCounts, kernel_before, kernel_now| InterfaceReconciliation {
        frames: crossed.frames(),
        // A skipped frame counts as one packet, since it is not decoded.
        packets: crossed.frames() - crossed.counted_frames + crossed.ip_packets,
        kernel_before,
        kernel_now,
    };
    InterfaceReport {
        ifindex: link.ifindex,
        name: Some(link.name.clone()),
        is_gone: false,
        skipped: link.skipped,
        counted,
        kernel,
        ingress: is_whole.then(|| reconciliation(&counted.ingress, before.rx_packets, kernel.rx_packets)),
        egress: (is_whole && sees_all_egress)
            .then(|| reconciliation(&counted.egress, before.tx_packets, kernel.tx_packets)),
        suspicion: None,
    }
}

/// Returns an interface of a reading; `None` if it is not in it.
fn find(view: &KernelStats, ifindex: u32) -> Option<&LinkStats> {
    let at = view.interfaces.binary_search_by_key(&ifindex, |link| link.ifindex).ok()?;
    view.interfaces.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::InterfaceName;
    use crate::flow::{Capacity, Delta, Options, Seed};
    use crate::packet::{Direction, Skip};
    use crate::time::Moment;

    fn link(ifindex: u32, rx_packets: u64) -> LinkStats {
        LinkStats {
            ifindex,
            name: InterfaceName::new(format!("eth{ifindex}")),
            skipped: None,
            egress: Verdict::ObserveOnly,
            hides_vlans: false,
            is_comparable: true,
            counters: LinkCounters { rx_packets, ..LinkCounters::default() },
            counters_at_start: LinkCounters::default(),
        }
    }

    fn view(second: u64, interfaces: Vec<LinkStats>) -> Arc<KernelStats> {
        let read_at = Moment(second * 1_000_000_000);
        Arc::new(KernelStats { read_at, interfaces, ..KernelStats::default() })
    }

    struct Fixture {
        window: Window,
        delta: Delta,
        reconciler: InterfaceReconciler,
    }

    impl Fixture {
        fn new() -> Self {
            let options = Options {
                traffic_interval: Duration::from_secs(10),
                port_interval: None,
                chart_bytes_min: 0,
                group_ipv6: None,
                memory_bytes_max: 64 << 20,
            };
            let seed = Seed::default();
            let limits = Capacity::none(false);
            let window = Window::new(&options, &limits, seed.clone());
            Self { window, delta: Delta::new(limits.delta, seed), reconciler: InterfaceReconciler::default() }
        }

        fn see(&mut self, ifindex: u32, frames: u64) {
            for _ in 0..frames {
                let interface_direction = self.delta.interface_direction(ifindex, Direction::Ingress);
                self.delta.skip(interface_direction, Skip::NotIp);
            }
            self.window.fold(&self.delta);
            self.delta.clear();
        }

        /// For each row: the interface number, whether it is gone, its ingress frames, and the number of unexplained
        /// ones.
        fn rows(&mut self) -> Vec<(u32, bool, u64, Option<i64>)> {
            let row = |row: InterfaceReport| {
                let unexplained = row.ingress.map(|reconciliation| reconciliation.unexplained());
                (row.ifindex, row.is_gone, row.counted.ingress.frames(), unexplained)
            };
            self.reconciler.report(&self.window, true).into_iter().map(row).collect()
        }
    }

    #[test]
    fn our_counts_are_compared_with_an_older_reading() {
        let mut fixture = Fixture::new();
        fixture.see(1, 100);
        fixture.reconciler.add_reading(view(1, vec![link(1, 130)]), &mut fixture.window);
        assert_eq!(fixture.rows(), [(1, false, 100, Some(0))], "thirty packets may not be handed over yet");
        fixture.reconciler.add_reading(view(2, vec![link(1, 130)]), &mut fixture.window);
        assert_eq!(fixture.rows(), [(1, false, 100, Some(30))], "thirty packets are missing");
        fixture.see(1, 40);
        assert_eq!(
            fixture.rows(),
            [(1, false, 140, Some(-10))],
            "we counted more than the old reading of the kernel"
        );
    }

    #[test]
    fn gone_interfaces_are_shown_for_a_while_and_then_share_a_row() {
        let mut fixture = Fixture::new();
        let there = |range: std::ops::Range<u32>| range.map(|ifindex| link(ifindex, 1)).collect::<Vec<_>>();
        for ifindex in 1..=100 {
            fixture.see(ifindex, 1);
        }
        fixture.reconciler.add_reading(view(1, there(1..101)), &mut fixture.window);
        for second in 2..5 {
            fixture.reconciler.add_reading(view(second, there(99..101)), &mut fixture.window);
        }
        let rows = fixture.rows();
        assert_eq!(rows.iter().map(|row| row.2).sum::<u64>(), 100, "every frame is in one row");
        assert_eq!(rows[0], (OVERFLOW_IFINDEX, true, 34, None));
        assert_eq!(rows.iter().filter(|row| row.1).count(), 1 + GONE_MAX);
    }

    #[test]
    fn an_interface_with_the_number_of_a_gone_one_starts_from_zero() {
        let mut fixture = Fixture::new();
        fixture.see(1, 100);
        fixture.reconciler.add_reading(view(1, vec![link(1, 100)]), &mut fixture.window);
        fixture.reconciler.add_reading(view(2, vec![]), &mut fixture.window);
        let back = |rx_packets| {
            let at_start = LinkCounters { rx_packets: 100, ..LinkCounters::default() };
            LinkStats { counters_at_start: at_start, ..link(1, rx_packets) }
        };
        fixture.reconciler.add_reading(view(3, vec![back(100)]), &mut fixture.window);
        fixture.see(1, 10);
        fixture.reconciler.add_reading(view(4, vec![back(110)]), &mut fixture.window);
        fixture.reconciler.add_reading(view(5, vec![back(110)]), &mut fixture.window);
        assert_eq!(fixture.rows(), [(OVERFLOW_IFINDEX, true, 100, None), (1, false, 10, Some(0))]);
    }

    #[test]
    fn an_interface_that_appears_between_two_readings_keeps_its_row() {
        let mut fixture = Fixture::new();
        fixture.reconciler.add_reading(view(1, vec![link(1, 0)]), &mut fixture.window);
        fixture.see(5, 2000);
        fixture.reconciler.add_reading(view(2, vec![link(1, 0)]), &mut fixture.window);
        for second in 3..6 {
            fixture
                .reconciler
                .add_reading(view(second, vec![link(1, 0), link(5, 2000)]), &mut fixture.window);
        }
        assert_eq!(fixture.rows(), [(1, false, 0, Some(0)), (5, false, 2000, Some(0))]);
    }

    #[test]
    fn few_readings_are_stored_however_many_changes_there_are() {
        let mut fixture = Fixture::new();
        for ms in 0..5000 {
            let changed = Arc::new(KernelStats {
                read_at: Moment(1_000_000_000 + ms * 1_000_000),
                interfaces: vec![link(1, ms)],
                ..KernelStats::default()
            });
            fixture.reconciler.add_reading(changed, &mut fixture.window);
            assert!(fixture.reconciler.readings.len() <= 8, "{}", fixture.reconciler.readings.len());
        }
        assert_eq!(fixture.reconciler.now().interfaces, [link(1, 4999)]);
        let age = fixture.reconciler.now().read_at.since(fixture.reconciler.before().read_at);
        assert!(age >= HANDED_OVER_AFTER && age < HANDED_OVER_AFTER + 2 * READING_INTERVAL_MIN, "{age:?}");
    }

    /// Returns the suspected interfaces. The kernel has 2,000 packets of each; we have `seen` of the first interface's
    /// and all of the others'.
    fn suspicions(fixture: &mut Fixture, seen: u64, interfaces: u32, is_wire_exact: bool) -> Vec<u32> {
        for ifindex in 1..=interfaces {
            for _ in 0..if ifindex == 1 { seen } else { 2000 } {
                let interface_direction = fixture.delta.interface_direction(ifindex, Direction::Ingress);
                fixture.delta.skip(interface_direction, Skip::NotIp);
            }
        }
        fixture.window.fold(&fixture.delta);
        fixture.delta.clear();
        for second in 1..4 {
            let all = (1..=interfaces).map(|ifindex| link(ifindex, 2000)).collect();
            fixture.reconciler.add_reading(view(second, all), &mut fixture.window);
        }
        let rows = fixture.reconciler.report(&fixture.window, is_wire_exact);
        rows.iter().filter(|row| row.suspicion.is_some()).map(|row| row.ifindex).collect()
    }

    #[test]
    fn offload_is_not_suspected_if_there_is_another_cause() {
        assert_eq!(suspicions(&mut Fixture::new(), 500, 2, true), [1], "we see one packet of four");
        let none = |suspected: Vec<u32>, why: &str| assert!(suspected.is_empty(), "{why}: {suspected:?}");
        none(suspicions(&mut Fixture::new(), 2000, 2, true), "we see every packet");
        none(suspicions(&mut Fixture::new(), 500, 2, false), "frames stand for an unknown number of packets");
        none(
            suspicions(&mut Fixture::new(), 500, 300, true),
            "there are more interfaces than a delta has rows",
        );
        let mut lossy = Fixture::new();
        let lost = crate::flow::KernelCounts { tp_packets: 4000, tp_drops: 1500, tp_freezes: 1 };
        lossy.delta.add_kernel(lost);
        none(suspicions(&mut lossy, 500, 2, true), "the ring was full");
    }

    #[test]
    fn a_burst_while_the_counts_are_remembered_is_not_missed_later() {
        let mut fixture = Fixture::new();
        let read = |fixture: &mut Fixture, second: u64, rx_packets: u64| {
            fixture.reconciler.add_reading(view(second, vec![link(1, rx_packets)]), &mut fixture.window);
            fixture.reconciler.report(&fixture.window, true)[0].suspicion
        };
        // The counts are remembered at second 60 and 120, while packets arrive that older readings lack.
        let mut sent = 0;
        for second in [1, 2, 59, 60, 61, 119, 120, 121, 122, 123, 124] {
            let burst = if matches!(second, 59..=61 | 119..=121) { 2000 } else { 0 };
            sent += burst;
            fixture.see(1, burst);
            assert_eq!(read(&mut fixture, second, sent), None, "at second {second}");
        }
    }

    #[test]
    fn offload_is_found_however_long_no_packet_was_missing_before() {
        let mut fixture = Fixture::new();
        let mut rx_packets = 0;
        let mut minute = |fixture: &mut Fixture, seen: u64| {
            rx_packets += 100_000;
            fixture.see(1, seen);
            let second = rx_packets / 100_000 * 60;
            for later in 0..3 {
                fixture
                    .reconciler
                    .add_reading(view(second + later, vec![link(1, rx_packets)]), &mut fixture.window);
            }
            fixture.reconciler.report(&fixture.window, true)[0].suspicion.is_some()
        };
        assert!((0..20).all(|_| !minute(&mut fixture, 100_000)));
        assert!((0..3).any(|_| minute(&mut fixture, 0)), "we see no packet");
        assert!((0..3).all(|_| minute(&mut fixture, 0)));
        (0..3).for_each(|_| {
            minute(&mut fixture, 100_000);
        });
        assert!(!minute(&mut fixture, 100_000), "no packet is missing any more");
    }
}
