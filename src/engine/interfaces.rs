//! Joins what was counted on each interface to what the kernel counted there.
//!
//! Both go on while they are read. So what we have is held against what the kernel had at a reading that is so old that
//! all of it has been handed over since.
//!
//! Nothing is held against anything where the two cannot agree: where frames stand for packets that nobody can count
//! (not wire exact), where the kernel sorts out a part before we could see it, and where some of what was seen is in no
//! row of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::capture::{KernelStats, LinkCounters, LinkStats, Verdict};
use crate::detect::InterfaceReconciliation;
use crate::flow::{DirectionCounts, ELSEWHERE, InterfaceCounts, Window};
use crate::report::InterfaceReport;
use crate::time::Moment;

/// The kernel's views, and the interfaces that have gone.
#[derive(Debug, Default)]
pub(super) struct InterfaceReconciler {
    /// The newest reading at the end; the first is the one that what we have is held against.
    readings: VecDeque<Arc<KernelStats>>,
    /// The last thing known of each, the latest to go at the end.
    gone: VecDeque<LinkStats>,
    /// Interfaces that were counted on and that the last view did not have. One more, and nobody will ask for them.
    nameless: BTreeSet<u32>,
    /// What had been counted a while ago, and what will be a while ago next.
    marks: [CounterSnapshot; 2],
    /// Interfaces of which it was said that packets pass us by.
    suspected: BTreeSet<u32>,
}

/// Where the counts stood at some time.
#[derive(Debug, Default)]
struct CounterSnapshot {
    at: Moment,
    tp_drops: u64,
    /// Packets seen coming in, and what the kernel had counted, of each interface.
    ingress: BTreeMap<u32, (u64, u64)>,
}

/// Gone interfaces that are still shown by name; what was seen on older ones is added up.
const GONE_MAX: usize = 64;
/// What the kernel counted this long ago has been handed over: a block's timeout, a tick and a busy analyst.
const HANDED_OVER_AFTER: Duration = Duration::from_secs(1);
/// Views come at once when an interface changes; these are the ones that count as further readings.
const READINGS_APART: Duration = Duration::from_millis(250);
/// Packets that pass us by are looked for in the last minute or two, so that neither a year of seeing everything hides
/// them, nor they are told of a year after they ended.
const MARKS_APART: Duration = Duration::from_secs(60);

impl InterfaceReconciler {
    /// Takes the newest view, if there is a newer one, and adds up what was counted on interfaces that nobody asks
    /// for any more.
    pub(super) fn turn(&mut self, view: Arc<KernelStats>, window: &mut Window) {
        let now = self.now();
        if view.read_at <= now.read_at && view.interfaces == now.interfaces {
            return;
        }
        let is_there = |ifindex| find(&view, ifindex).is_some();
        // What has come back under a number that is known may be another interface.
        let returned = self.gone.iter().map(|link| link.ifindex).filter(|&ifindex| is_there(ifindex));
        let mut forgotten: Vec<u32> = returned.collect();
        self.gone.retain(|link| !is_there(link.ifindex));
        self.gone.extend(now.interfaces.iter().filter(|link| !is_there(link.ifindex)).cloned());
        self.gone.drain(..self.gone.len().saturating_sub(GONE_MAX));
        self.suspected.retain(|&ifindex| is_there(ifindex));

        let is_known = |ifindex| is_there(ifindex) || self.gone.iter().any(|link| link.ifindex == ifindex);
        let nameless: BTreeSet<u32> =
            window.interfaces().keys().copied().filter(|&ifindex| !is_known(ifindex)).collect();
        // One that is new may have been counted on before the kernel was asked for it.
        forgotten.extend(nameless.intersection(&self.nameless));
        forgotten.into_iter().for_each(|ifindex| window.retire_interface(ifindex));
        self.nameless = nameless;
        self.read(view);
    }

    /// Adds a reading, and lets go of those that an older one makes needless.
    fn read(&mut self, view: Arc<KernelStats>) {
        let read_at = view.read_at;
        match self.readings.len().checked_sub(2).map(|before| self.readings[before].read_at) {
            // Of readings close to each other the newest will do.
            Some(before) if read_at.since(before) < READINGS_APART => {
                self.readings.pop_back();
            }
            _ => {}
        }
        self.readings.push_back(view);
        while self.readings.get(1).is_some_and(|next| read_at.since(next.read_at) >= HANDED_OVER_AFTER) {
            self.readings.pop_front();
        }
    }

    /// The newest view.
    fn now(&self) -> Arc<KernelStats> {
        self.readings.back().cloned().unwrap_or_default()
    }

    /// The newest view that is old enough.
    fn before(&self) -> Arc<KernelStats> {
        let (first, last) = (self.readings.front(), self.readings.back());
        let is_old = |first: &&Arc<KernelStats>| {
            last.is_some_and(|last| last.read_at.since(first.read_at) >= HANDED_OVER_AFTER)
        };
        first.filter(is_old).cloned().unwrap_or_default()
    }

    /// One row for each interface that is there or was counted on, by ascending number. `is_wire_exact` says whether
    /// frames that stand for several packets are told apart.
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
            let nobody = || InterfaceReport { ifindex, is_gone: true, counted, ..InterfaceReport::default() };
            if ifindex != ELSEWHERE || counted != InterfaceCounts::default() {
                rows.entry(ifindex).or_insert_with(nobody);
            }
        }
        let mut rows: Vec<InterfaceReport> = rows.into_values().collect();
        self.candidate(&mut rows, now.read_at, window.accounting().kernel.tp_drops);
        rows
    }

    /// Looks for interfaces of which most packets pass us by, and says so once for each, for as long as it is there.
    fn candidate(&mut self, rows: &mut [InterfaceReport], now: Moment, tp_drops: u64) {
        let [snapshot, next] = &self.marks;
        for row in rows.iter_mut().filter(|row| !row.is_gone) {
            let Some(reconciliation) = row.ingress else { continue };
            let (packets, kernel) = snapshot.ingress.get(&row.ifindex).copied().unwrap_or_default();
            // What we lost ourselves passed nobody by.
            let lost = tp_drops.saturating_sub(snapshot.tp_drops);
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
        if now.since(next.at) >= MARKS_APART {
            let ingress = rows.iter().filter_map(|row| {
                let reconciliation = row.ingress?;
                Some((row.ifindex, (reconciliation.packets, reconciliation.kernel_before)))
            });
            let newest = CounterSnapshot { at: now, tp_drops, ingress: ingress.collect() };
            self.marks = [std::mem::take(&mut self.marks[1]), newest];
        }
    }
}

/// One interface, with what the kernel had counted on it a while ago.
fn row(
    link: &LinkStats,
    counted: InterfaceCounts,
    before: &LinkCounters,
    is_comparable: bool,
) -> InterfaceReport {
    let kernel = link.since_start();
    // Elsewhere the kernel sorts out some or all of it before anybody could see it.
    let is_whole = is_comparable && link.skipped.is_none() && !link.hides_vlans;
    // Of what leaves, only some is let through to tell who answered whom.
    let all_leaving_is_seen = matches!(link.egress, Verdict::Count | Verdict::CountIfOwn);
    let reconciliation = |crossed: &DirectionCounts, kernel_before, kernel_now| InterfaceReconciliation {
        frames: crossed.frames(),
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
        egress: (is_whole && all_leaving_is_seen)
            .then(|| reconciliation(&counted.egress, before.tx_packets, kernel.tx_packets)),
        suspicion: None,
    }
}

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
            counters: LinkCounters { rx_packets, ..LinkCounters::default() },
            counters_at_start: LinkCounters::default(),
        }
    }

    fn view(second: u64, interfaces: Vec<LinkStats>) -> Arc<KernelStats> {
        let read_at = Moment(second * 1_000_000_000);
        Arc::new(KernelStats { read_at, interfaces, ..KernelStats::default() })
    }

    struct Bench {
        window: Window,
        delta: Delta,
        book: InterfaceReconciler,
    }

    impl Bench {
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
            Self { window, delta: Delta::new(limits.delta, seed), book: InterfaceReconciler::default() }
        }

        fn see(&mut self, ifindex: u32, frames: u64) {
            for _ in 0..frames {
                let interface_direction = self.delta.interface_direction(ifindex, Direction::Ingress);
                self.delta.skip(interface_direction, Skip::NotIp);
            }
            self.window.fold(&self.delta);
            self.delta.clear();
        }

        /// Number, whether it is gone, frames, and what is unexplained.
        fn rows(&mut self) -> Vec<(u32, bool, u64, Option<i64>)> {
            let row = |row: InterfaceReport| {
                let unexplained = row.ingress.map(|reconciliation| reconciliation.unexplained());
                (row.ifindex, row.is_gone, row.counted.ingress.frames(), unexplained)
            };
            self.book.report(&self.window, true).into_iter().map(row).collect()
        }
    }

    #[test]
    fn what_we_have_is_held_against_what_the_kernel_had_before() {
        let mut bench = Bench::new();
        bench.see(1, 100);
        bench.book.turn(view(1, vec![link(1, 130)]), &mut bench.window);
        assert_eq!(bench.rows(), [(1, false, 100, Some(0))], "thirty may be on their way");
        bench.book.turn(view(2, vec![link(1, 130)]), &mut bench.window);
        assert_eq!(bench.rows(), [(1, false, 100, Some(30))], "they never came");
        bench.see(1, 40);
        assert_eq!(bench.rows(), [(1, false, 140, Some(-10))], "more than the kernel has counted");
    }

    #[test]
    fn the_gone_are_shown_for_a_while_and_then_added_up() {
        let mut bench = Bench::new();
        let there = |range: std::ops::Range<u32>| range.map(|ifindex| link(ifindex, 1)).collect::<Vec<_>>();
        for ifindex in 1..=100 {
            bench.see(ifindex, 1);
        }
        bench.book.turn(view(1, there(1..101)), &mut bench.window);
        for second in 2..5 {
            bench.book.turn(view(second, there(99..101)), &mut bench.window);
        }
        let rows = bench.rows();
        assert_eq!(rows.iter().map(|row| row.2).sum::<u64>(), 100, "every frame is in one row");
        assert_eq!(rows[0], (ELSEWHERE, true, 34, None));
        assert_eq!(rows.iter().filter(|row| row.1).count(), 1 + GONE_MAX);
    }

    #[test]
    fn what_returns_under_a_number_begins_anew() {
        let mut bench = Bench::new();
        bench.see(1, 100);
        bench.book.turn(view(1, vec![link(1, 100)]), &mut bench.window);
        bench.book.turn(view(2, vec![]), &mut bench.window);
        let back = |rx_packets| {
            let at_start = LinkCounters { rx_packets: 100, ..LinkCounters::default() };
            LinkStats { counters_at_start: at_start, ..link(1, rx_packets) }
        };
        bench.book.turn(view(3, vec![back(100)]), &mut bench.window);
        bench.see(1, 10);
        bench.book.turn(view(4, vec![back(110)]), &mut bench.window);
        bench.book.turn(view(5, vec![back(110)]), &mut bench.window);
        assert_eq!(bench.rows(), [(ELSEWHERE, true, 100, None), (1, false, 10, Some(0))]);
    }

    #[test]
    fn one_that_was_born_between_two_views_keeps_its_row() {
        let mut bench = Bench::new();
        bench.book.turn(view(1, vec![link(1, 0)]), &mut bench.window);
        bench.see(5, 2000);
        bench.book.turn(view(2, vec![link(1, 0)]), &mut bench.window);
        for second in 3..6 {
            bench.book.turn(view(second, vec![link(1, 0), link(5, 2000)]), &mut bench.window);
        }
        assert_eq!(bench.rows(), [(1, false, 0, Some(0)), (5, false, 2000, Some(0))]);
    }

    #[test]
    fn readings_are_few_however_many_changes_there_are() {
        let mut bench = Bench::new();
        for ms in 0..5000 {
            let changed = Arc::new(KernelStats {
                read_at: Moment(1_000_000_000 + ms * 1_000_000),
                interfaces: vec![link(1, ms)],
                ..KernelStats::default()
            });
            bench.book.turn(changed, &mut bench.window);
            assert!(bench.book.readings.len() <= 8, "{}", bench.book.readings.len());
        }
        assert_eq!(bench.book.now().interfaces, [link(1, 4999)]);
        let age = bench.book.now().read_at.since(bench.book.before().read_at);
        assert!(age >= HANDED_OVER_AFTER && age < HANDED_OVER_AFTER + 2 * READINGS_APART, "{age:?}");
    }

    /// The suspicions after every interface but the first has shown all of 2,000 packets, and the first `seen` of them.
    fn suspicions(bench: &mut Bench, seen: u64, interfaces: u32, is_wire_exact: bool) -> Vec<u32> {
        for ifindex in 1..=interfaces {
            for _ in 0..if ifindex == 1 { seen } else { 2000 } {
                let interface_direction = bench.delta.interface_direction(ifindex, Direction::Ingress);
                bench.delta.skip(interface_direction, Skip::NotIp);
            }
        }
        bench.window.fold(&bench.delta);
        bench.delta.clear();
        for second in 1..4 {
            let all = (1..=interfaces).map(|ifindex| link(ifindex, 2000)).collect();
            bench.book.turn(view(second, all), &mut bench.window);
        }
        let rows = bench.book.report(&bench.window, is_wire_exact);
        rows.iter().filter(|row| row.suspicion.is_some()).map(|row| row.ifindex).collect()
    }

    #[test]
    fn nothing_is_blamed_on_hardware_that_has_another_cause() {
        assert_eq!(suspicions(&mut Bench::new(), 500, 2, true), [1], "three of four pass us by");
        let nobody = |suspected: Vec<u32>, why: &str| assert!(suspected.is_empty(), "{why}: {suspected:?}");
        nobody(suspicions(&mut Bench::new(), 2000, 2, true), "everything is seen");
        nobody(suspicions(&mut Bench::new(), 500, 2, false), "frames stand for packets that nobody counts");
        nobody(suspicions(&mut Bench::new(), 500, 300, true), "more interfaces than a delta tells apart");
        let mut lossy = Bench::new();
        let lost = crate::flow::KernelCounts { tp_packets: 4000, tp_drops: 1500, tp_freezes: 1 };
        lossy.delta.add_kernel(lost);
        nobody(suspicions(&mut lossy, 500, 2, true), "the ring was full");
    }

    #[test]
    fn offload_is_found_however_long_everything_was_seen_before() {
        let mut bench = Bench::new();
        let mut rx_packets = 0;
        let mut minute = |bench: &mut Bench, seen: u64| {
            rx_packets += 100_000;
            bench.see(1, seen);
            let second = rx_packets / 100_000 * 60;
            for later in 0..3 {
                bench.book.turn(view(second + later, vec![link(1, rx_packets)]), &mut bench.window);
            }
            bench.book.report(&bench.window, true)[0].suspicion.is_some()
        };
        assert!((0..20).all(|_| !minute(&mut bench, 100_000)));
        assert!((0..3).any(|_| minute(&mut bench, 0)), "all packets pass us by");
        assert!((0..3).all(|_| minute(&mut bench, 0)));
        (0..3).for_each(|_| {
            minute(&mut bench, 100_000);
        });
        assert!(!minute(&mut bench, 100_000), "it is over");
    }
}
