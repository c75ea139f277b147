//! The parts that eviction is made of, put together as simply as can be: a table of hosts that is full, the bounds of
//! what was taken from them, and the traces that they leave. It keeps its promises under the floods that the program is
//! held against (`eviction.rs`).
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test, in helpers as well")]

mod packets;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use packets::flood::{Flood, HEAVY, Packet, Sources, scanner};
use traffic_alerted::flow::{ErrorBounds, Ghost, GhostEntries, Seed, Sums};

const INTERVAL_S: f64 = 170.0;
const SLOT_S: f64 = INTERVAL_S / 10.0;
const BYTES_MAX: u64 = 10_000_000;
const CONTACTS_MAX: usize = 15;

/// 1.5 M packets per second and 10 M sources, divided by 1024 as the memory is: 64 of 256 MiB for traces, and 156 for
/// hosts of 200 bytes.
const PACKETS_PER_S: f64 = 1_465.0;
const SOURCES: u32 = 9_766;
const HOSTS_MAX: usize = 800;
const TRACES_BYTES: usize = 64 << 10;
/// A pass of eviction takes this part of the table.
const PASS_PART: usize = 8;

#[derive(Default)]
struct Host {
    entered: u64,
    bytes: BTreeMap<u64, u64>,
    /// Targets, with the slot of the latest contact.
    contacts: BTreeMap<Ipv4Addr, u64>,
    credit: Option<Ghost>,
}

impl Host {
    fn roll(&mut self, slot: u64) {
        self.bytes.retain(|at, _| at + 10 > slot);
        self.contacts.retain(|_, at| *at + 10 > slot);
        self.credit = self.credit.filter(|credit| credit.slot + 10 > slot);
    }

    fn ip_bytes(&self) -> u64 {
        self.bytes.values().sum()
    }

    fn contacted(&self) -> usize {
        self.contacts.len() + usize::from(self.credit.is_some())
    }

    /// The largest share of a limit, then bytes. The first contact is no sign of anything: every host of the flood has
    /// one, and would outrank one that has begun to send much.
    fn rank(&self) -> (u64, u64) {
        let of_bytes = self.ip_bytes() * 1_000_000 / BYTES_MAX;
        let of_contacts = self.contacted().saturating_sub(1) * 1_000_000 / CONTACTS_MAX;
        (of_bytes.max(of_contacts as u64), self.ip_bytes())
    }
}

struct Table {
    seed: Seed,
    hosts: HashMap<Ipv4Addr, Host>,
    bounds: ErrorBounds,
    traces: GhostEntries,
    slot: u64,
}

impl Table {
    fn new(traces_bytes: usize) -> Self {
        let (seed, bounds) = (Seed::default(), ErrorBounds::default());
        Self { seed, hosts: HashMap::new(), bounds, traces: GhostEntries::new(traces_bytes), slot: 0 }
    }

    fn hash(&self, addr: Ipv4Addr) -> u64 {
        self.seed.addr(&IpAddr::V4(addr))
    }

    fn roll(&mut self, slot: u64) {
        self.slot = slot;
        self.bounds.roll(slot);
        self.traces.roll(slot);
        self.hosts.retain(|_, host| {
            host.roll(slot);
            !host.bytes.is_empty()
        });
    }

    fn evict(&mut self) {
        let mut ranks: Vec<_> = self.hosts.iter().map(|(addr, host)| (host.rank(), *addr)).collect();
        let taken = HOSTS_MAX / PASS_PART;
        ranks.select_nth_unstable(taken);
        self.bounds.begin_pass();
        for (_, addr) in &ranks[..taken] {
            let host = self.hosts.remove(addr).unwrap();
            self.bounds.evict(Sums { ip_bytes: host.ip_bytes(), received_bytes: 0 });
            if let Some((target, slot)) = host.contacts.iter().next_back() {
                self.traces.leave(self.hash(*addr), self.hash(*target), *slot);
            }
        }
    }

    fn count(&mut self, packet: &Packet) -> &Host {
        if !self.hosts.contains_key(&packet.src) && self.hosts.len() >= HOSTS_MAX {
            self.evict();
        }
        let target = self.hash(packet.dst);
        let credit = match self.hosts.contains_key(&packet.src) {
            false if packet.is_syn => self.traces.find(self.hash(packet.src), target),
            _ => None,
        };
        let new = || Host { entered: self.slot, credit, ..Host::default() };
        let host = self.hosts.entry(packet.src).or_insert_with(new);
        *host.bytes.entry(self.slot).or_default() += u64::from(packet.ip_bytes);
        if packet.is_syn {
            host.contacts.insert(packet.dst, self.slot);
            // It may be counted twice otherwise.
            host.credit = host.credit.filter(|credit| !credit.may_be_of(target));
        }
        host
    }
}

/// Of a hundred scanners with 20 contacts, those that are found.
fn found_of_100(sources: Sources, scarcity: f64, traces_bytes: usize) -> usize {
    let flood = Flood {
        sources,
        packets_per_s: PACKETS_PER_S * scarcity,
        interval_s: INTERVAL_S,
        heavy_bytes_per_s: 280_000.0,
        scanners: [(20, 40), (100, 20)],
        seed: 7,
    };
    let mut table = Table::new(traces_bytes);
    let mut exact: HashMap<Ipv4Addr, BTreeMap<u64, u64>> = HashMap::new();
    let mut scanners: BTreeMap<Ipv4Addr, f64> = BTreeMap::new();
    let mut heavy: BTreeMap<Ipv4Addr, f64> = BTreeMap::new();
    for packet in flood.packets() {
        let slot = (packet.at_s / SLOT_S) as u64;
        if slot > table.slot {
            check(&table, &exact);
            table.roll(slot);
            exact.retain(|_, by_slot| {
                by_slot.retain(|at, _| at + 10 > slot);
                !by_slot.is_empty()
            });
            check(&table, &exact);
        }
        *exact.entry(packet.src).or_default().entry(slot).or_default() += u64::from(packet.ip_bytes);
        let host = table.count(&packet);
        if host.ip_bytes() > BYTES_MAX {
            heavy.entry(packet.src).or_insert(packet.at_s);
        }
        if host.contacted() > CONTACTS_MAX {
            scanners.entry(packet.src).or_insert(packet.at_s);
        }
    }
    assert!(table.bounds.largest().ip_bytes > 0, "nothing was evicted");
    assert_eq!(heavy.keys().collect::<Vec<_>>(), [&HEAVY]);
    let late_s = heavy[&HEAVY] - flood.heavy_exceeds_at_s(BYTES_MAX);
    assert!((0.0..1.0).contains(&late_s), "{late_s} s late");
    let mut take =
        |kind, many| (0..many).filter(|&number| scanners.remove(&scanner(kind, number)).is_some()).count();
    let (of_40, of_20) = (take(0, 20), take(1, 100));
    if traces_bytes > 0 {
        assert_eq!(of_40, 20);
    }
    assert_eq!(scanners, BTreeMap::new(), "nobody else");
    of_20
}

fn check(table: &Table, exact: &HashMap<Ipv4Addr, BTreeMap<u64, u64>>) {
    for (addr, host) in &table.hosts {
        let (counted, true_bytes) = (host.ip_bytes(), exact[addr].values().sum::<u64>());
        let error = table.bounds.error(host.entered).ip_bytes;
        assert!(
            counted <= true_bytes && true_bytes <= counted + error,
            "{addr}: {counted} of {true_bytes}, and {error}"
        );
    }
}

#[test]
fn real_hosts_are_found_among_sources_in_turn() {
    let found = found_of_100(Sources::Cycled(SOURCES), 1.0, TRACES_BYTES);
    assert!(found >= 97, "{found}");
}

#[test]
fn real_hosts_are_found_among_random_sources() {
    let found = found_of_100(Sources::Random, 1.0, TRACES_BYTES);
    assert!(found >= 97, "{found}");
}

/// As with 64 MB: nine of ten with 20 contacts, and all with 40 still.
#[test]
fn real_hosts_are_found_with_a_quarter_of_the_memory() {
    let found = found_of_100(Sources::Cycled(4 * SOURCES), 4.0, TRACES_BYTES);
    assert!(found >= 75, "{found}");
}

#[test]
fn without_traces_slow_scanners_are_not_found() {
    let found = found_of_100(Sources::Random, 1.0, 0);
    assert!(found < 10, "{found}");
}
