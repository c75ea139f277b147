//! A datagram of rtnetlink with any bytes: whatever can be read in it becomes a table of verdicts.

use super::super::counters;
use super::super::interfaces::{self, Interfaces, Link, OwnAddress};
use super::super::link_history;
use super::super::local_prefixes::LocalPrefixes;
use super::super::mirred;
use super::super::name_pattern::NamePattern;
use super::super::netlink::{AF_INET, AF_INET6, DumpReply, messages};
use super::super::options::DirectionPolicy;
use super::super::policy::Policy;
use super::super::routes::{self, Route};
use super::super::stations;
use super::super::tc_filter::{FilterSource, Side, TcHeader, parse_filter};
use super::super::verdict_table::VerdictTable;
use crate::escape::is_hidden;
use crate::time::Moment;

/// Reads a datagram as the kernel may send it: no parser panics, each message is read once, names can be shown, and
/// the tables that are made of what was read keep their promises.
///
/// # Panics
/// Panics if one of these does not hold.
pub fn netlink(datagram: &[u8]) {
    let count = messages(datagram).count();
    assert!(count <= datagram.len() / 16 + 1, "each message has a header of its own");
    let found = Found::read(datagram);
    found.check(datagram.len());

    // The same bytes as notices, and as the reply to a dump.
    let records = link_history::fuzzing_records(datagram, Moment(1));
    assert!(records <= count, "at most one interface for each notice");
    for kind in [libc::RTM_NEWLINK, libc::RTM_NEWROUTE, libc::RTM_NEWTFILTER] {
        let mut taken = 0;
        let reply = DumpReply { sequence: 1, what: "messages", kind };
        let read = reply.take_datagram(datagram, &mut |_| {
            taken += 1;
            Ok(())
        });
        assert!(taken <= count && (read.is_ok() || count > 0));
    }
}

/// What was read of a datagram.
#[derive(Default)]
struct Found {
    interfaces: Interfaces,
    routes: Vec<Route>,
    disciplines: Vec<mirred::Discipline>,
    classes: usize,
}

impl Found {
    /// Reads each message by its type, and as every other type too, for which only panics are looked for.
    fn read(datagram: &[u8]) -> Self {
        let mut found = Self::default();
        let mut filters = Vec::new();
        for message in messages(datagram) {
            let Ok(message) = message else { break };
            let (kind, body) = (message.message_type(), message.payload());
            let link = interfaces::parse_link(body);
            let address = interfaces::parse_address(body);
            let forwards = interfaces::parse_forwarding(body);
            let discipline = mirred::parse_discipline(body);
            let class = TcHeader::parse(body);
            let routes = [AF_INET, AF_INET6].map(|family| routes::parse(body, family));
            let _ = (stations::parse_entry(body, 2), counters::parse_stats(body));
            match kind {
                libc::RTM_NEWLINK => found.interfaces.links.extend(link),
                libc::RTM_NEWADDR => {
                    found.interfaces.own_addresses.extend(address.ok().flatten());
                }
                libc::RTM_NEWNETCONF => found.interfaces.ip_forwarding |= forwards == Ok(true),
                libc::RTM_NEWROUTE => {
                    found.routes.extend(routes.into_iter().filter_map(|route| route.ok().flatten()));
                }
                libc::RTM_NEWQDISC => found.disciplines.extend(discipline),
                libc::RTM_NEWTCLASS => found.classes += usize::from(class.is_ok()),
                _ => filters.push(body.to_vec()),
            }
        }
        let blocks: Vec<_> = found.disciplines.iter().flat_map(mirred::Discipline::memberships).collect();
        for (body, side) in filters.iter().zip([Side::Ingress, Side::Egress].into_iter().cycle()) {
            // A rule that was read before a fault stays, as in a dump that fails.
            let source = FilterSource { ifindex: 2, side };
            let _ = parse_filter(body, source, &blocks, &mut found.interfaces.mirred);
        }
        found
    }

    fn check(&self, datagram_len: usize) {
        let Self { interfaces, routes, .. } = self;
        // An action takes 60 bytes and has a rule for each member of a block, which takes 44.
        assert!(interfaces.mirred.len() <= (datagram_len / 44 + 1) * (datagram_len / 60 + 1));
        for link in &interfaces.links {
            assert!(!link.name.to_string().contains(is_hidden), "{:?}", link.name);
        }
        for route in routes {
            assert!(!route.hops.is_empty() && route.destination.trunc() == route.destination);
        }
        for OwnAddress { prefix, .. } in &interfaces.own_addresses {
            assert!(prefix.is_none_or(|prefix| prefix.trunc() == prefix));
        }
        let local = LocalPrefixes::find(&interfaces.own_addresses, routes);
        for (network, next) in local.as_slice().iter().zip(local.as_slice().iter().skip(1)) {
            assert!(network.broadcast() < next.network(), "networks are disjoint and in order");
        }
        for OwnAddress { addr, .. } in &interfaces.own_addresses {
            let is_local = local.contains(*addr);
            assert_eq!(is_local, local.as_slice().iter().any(|network| network.contains(addr)));
        }
        let excluded = vec![NamePattern::new("guest*")];
        let policy = Policy { excluded, direction: DirectionPolicy::Auto, ..Policy::default() };
        let table = VerdictTable::new(interfaces, &policy).with_local_networks(local);
        // The table goes into the log as one line.
        assert!(!table.to_string().contains(is_hidden));
        assert!(table.monitored() <= table.interfaces().len());
        assert!(interfaces.links.iter().all(|&Link { ifindex, .. }| table.has(ifindex)));
    }
}
