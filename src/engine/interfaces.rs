//! Joins what was counted on each interface to what the kernel counted there.
//!
//! Both go on while they are read. So what we have is held against what the kernel had at the reading before the last
//! one: by now, all of that has been handed over.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tracing::warn;

use crate::alert::InterfaceReport;
use crate::capture::{InterfaceView, KernelView, LinkCounters, Standing};
use crate::detect::Sight;
use crate::flow::{ELSEWHERE, InterfaceCounts, Window};

/// The kernel's views, and the interfaces that have gone.
#[derive(Debug, Default)]
pub(super) struct InterfaceBook {
    now: Arc<KernelView>,
    before: Arc<KernelView>,
    /// The last thing known of each, the latest to go at the end.
    gone: VecDeque<InterfaceView>,
    /// Interfaces of which it was said that packets pass us by.
    suspected: Vec<u32>,
}

/// Gone interfaces that are still shown by name; what was seen on older ones is added up.
const GONE_MAX: usize = 64;

impl InterfaceBook {
    /// Takes the newest view, if there is a newer one, and adds up what was counted on interfaces that nobody asks
    /// for any more.
    pub(super) fn turn(&mut self, view: Arc<KernelView>, window: &mut Window) {
        if view.read_at <= self.now.read_at && view.interfaces == self.now.interfaces {
            return;
        }
        let is_there = |view: &KernelView, ifindex| find(view, ifindex).is_some();
        self.gone.retain(|link| !is_there(&view, link.ifindex));
        self.gone.extend(self.now.interfaces.iter().filter(|link| !is_there(&view, link.ifindex)).cloned());
        self.gone.drain(..self.gone.len().saturating_sub(GONE_MAX));
        self.suspected.retain(|&ifindex| is_there(&view, ifindex));
        if view.read_at > self.now.read_at {
            self.before = std::mem::take(&mut self.now);
        }
        self.now = view;
        let is_shown = |ifindex| self.known(ifindex).is_some() || is_there(&self.before, ifindex);
        let forgotten: Vec<u32> =
            window.interfaces().keys().copied().filter(|&ifindex| !is_shown(ifindex)).collect();
        forgotten.into_iter().for_each(|ifindex| window.retire_interface(ifindex));
    }

    /// One row for each interface that is there or was counted on, by ascending number.
    pub(super) fn report(&mut self, counts: &BTreeMap<u32, InterfaceCounts>) -> Vec<InterfaceReport> {
        let mut rows: BTreeMap<u32, InterfaceReport> = BTreeMap::new();
        for link in &self.now.interfaces {
            rows.insert(link.ifindex, self.row(link, counts.get(&link.ifindex).copied().unwrap_or_default()));
        }
        for (&ifindex, &counted) in
            counts.iter().filter(|(ifindex, _)| !rows.contains_key(ifindex)).collect::<Vec<_>>()
        {
            let row = match self.gone.iter().find(|link| link.ifindex == ifindex) {
                Some(link) => InterfaceReport { is_gone: true, ..self.row(link, counted) },
                None => InterfaceReport { ifindex, is_gone: true, counted, ..InterfaceReport::default() },
            };
            rows.insert(ifindex, row);
        }
        rows.retain(|&ifindex, row| ifindex != ELSEWHERE || row.counted != InterfaceCounts::default());
        let rows: Vec<InterfaceReport> = rows.into_values().collect();
        self.say_what_is_suspected(&rows);
        rows
    }

    fn row(&self, link: &InterfaceView, counted: InterfaceCounts) -> InterfaceReport {
        let kernel = link.since_start();
        let before =
            find(&self.before, link.ifindex).map_or_else(LinkCounters::default, InterfaceView::since_start);
        // Elsewhere the kernel sorts out some or all of it before anybody could see it.
        let is_whole = link.skipped.is_none() && !link.hides_vlans;
        // Of what leaves, only some is let through to tell who answered whom.
        let all_leaving_is_seen = matches!(link.leaving, Standing::Counts | Standing::CountsIfOwn);
        let sight = |crossed: &crate::flow::Crossed, kernel_before, kernel_now| Sight {
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
            entering: is_whole.then(|| sight(&counted.entering, before.rx_packets, kernel.rx_packets)),
            leaving: (is_whole && all_leaving_is_seen)
                .then(|| sight(&counted.leaving, before.tx_packets, kernel.tx_packets)),
        }
    }

    fn known(&self, ifindex: u32) -> Option<&InterfaceView> {
        find(&self.now, ifindex).or_else(|| self.gone.iter().find(|link| link.ifindex == ifindex))
    }

    /// Once for each interface, for as long as it is there.
    fn say_what_is_suspected(&mut self, rows: &[InterfaceReport]) {
        for row in rows.iter().filter(|row| !row.is_gone) {
            let suspicion = row.entering.and_then(|sight| sight.suspicion());
            if let (Some(seen), Some(name)) = (suspicion, &row.name)
                && !self.suspected.contains(&row.ifindex)
            {
                self.suspected.push(row.ifindex);
                warn!(
                    "offload suspected: we see {seen} of what {name} receives. Hardware or flow offload hides packets \
                     from every monitor; turn it off on that interface to have them counted"
                );
            }
        }
    }
}

fn find(view: &KernelView, ifindex: u32) -> Option<&InterfaceView> {
    let at = view.interfaces.binary_search_by_key(&ifindex, |link| link.ifindex).ok()?;
    view.interfaces.get(at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::capture::InterfaceName;
    use crate::flow::{Delta, Limits, Options, Seed};
    use crate::packet::{Direction, Skip};
    use crate::time::Moment;

    fn link(ifindex: u32, rx_packets: u64) -> InterfaceView {
        InterfaceView {
            ifindex,
            name: InterfaceName::new(format!("eth{ifindex}")),
            skipped: None,
            leaving: Standing::Evidence,
            hides_vlans: false,
            counters: LinkCounters { rx_packets, ..LinkCounters::default() },
            counters_at_start: LinkCounters::default(),
        }
    }

    fn view(second: u64, interfaces: Vec<InterfaceView>) -> Arc<KernelView> {
        Arc::new(KernelView { read_at: Moment(second), interfaces, ..KernelView::default() })
    }

    struct Bench {
        window: Window,
        delta: Delta,
        book: InterfaceBook,
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
            let limits = Limits::none(false);
            let window = Window::new(&options, &limits, seed.clone());
            Self { window, delta: Delta::new(limits.delta, seed), book: InterfaceBook::default() }
        }

        fn see(&mut self, ifindex: u32, frames: u64) {
            for _ in 0..frames {
                let crossing = self.delta.crossing(ifindex, Direction::Entering);
                self.delta.skip(crossing, Skip::NotIp);
            }
            self.window.fold(&self.delta);
            self.delta.clear();
        }

        /// Number, whether it is gone, frames, and what is unexplained.
        fn rows(&mut self) -> Vec<(u32, bool, u64, Option<i64>)> {
            let row = |row: InterfaceReport| {
                let unexplained = row.entering.map(|sight| sight.unexplained());
                (row.ifindex, row.is_gone, row.counted.entering.frames(), unexplained)
            };
            self.book.report(self.window.interfaces()).into_iter().map(row).collect()
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
        bench.book.turn(view(2, there(99..101)), &mut bench.window);
        bench.book.turn(view(3, there(99..101)), &mut bench.window);
        let rows = bench.rows();
        assert_eq!(rows.iter().map(|row| row.2).sum::<u64>(), 100, "every frame is in one row");
        assert_eq!(rows[0], (ELSEWHERE, true, 34, None));
        assert_eq!(rows.iter().filter(|row| row.1).count(), 1 + GONE_MAX);
        // The newest of the gone came back, under another name and with the same number.
        bench.book.turn(view(4, there(98..101)), &mut bench.window);
        assert!(bench.rows().iter().any(|row| row.0 == 98 && !row.1));
    }
}
