//! Reads the unicast addresses that an interface receives besides its own: those of devices above it that are in
//! another network namespace, such as the macvlan of a container, and those that were added with `bridge fdb add`.
//!
//! The kernel adds the address of such a device to the list of the interface below without a notice. So a worker reads
//! the list when a frame for an unknown station arrives, at most once per interface and block. The dump needs no
//! capability.
//!
//! Sources: `net/core/rtnetlink.c` (`ndo_dflt_fdb_dump`, `valid_fdb_dump_legacy`), `include/uapi/linux/neighbour.h`.

use std::collections::HashMap;
use std::fmt;

use tracing::warn;

use super::error::NetlinkError;
use super::netlink::{DumpRequest, NetlinkSocket, attributes};

/// A link-layer address of Ethernet.
pub(super) type Station = [u8; 6];

/// The addresses that were read for the frames of one batch.
#[derive(Default)]
pub(super) struct ReceivedStations {
    netlink: Option<NetlinkSocket>,
    by_ifindex: HashMap<u32, Vec<Station>>,
    /// True if a failure was logged, so that it is logged once.
    has_warned: bool,
}

impl ReceivedStations {
    /// Forgets the addresses: those of the next batch are read again.
    pub(super) fn begin_batch(&mut self) {
        if !self.by_ifindex.is_empty() {
            self.by_ifindex.clear();
        }
    }

    /// Returns true if the interface receives frames for this station. If the addresses cannot be read, it returns
    /// false.
    pub(super) fn has(&mut self, ifindex: u32, station: Station) -> bool {
        if let Some(known) = self.by_ifindex.get(&ifindex) {
            return known.contains(&station);
        }
        let read = self.read(ifindex).unwrap_or_else(|error| {
            if !std::mem::replace(&mut self.has_warned, true) {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "the addresses that interfaces receive cannot be read: frames for devices in other namespaces \
                     are skipped"
                );
            }
            Vec::new()
        });
        self.by_ifindex.entry(ifindex).or_insert(read).contains(&station)
    }

    fn read(&mut self, ifindex: u32) -> Result<Vec<Station>, NetlinkError> {
        let netlink = match &mut self.netlink {
            Some(netlink) => netlink,
            none => none.insert(NetlinkSocket::open()?),
        };
        // The kernel expects a `struct ifinfomsg` here, and takes its number as that of the only interface wanted.
        let mut header = [0; 16];
        header[0] = AF_BRIDGE;
        header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
        let request = DumpRequest {
            what: "received addresses",
            request: libc::RTM_GETNEIGH,
            reply: libc::RTM_NEWNEIGH,
            header: &header,
        };
        let mut stations = Vec::new();
        netlink.dump_once(&request, |body| {
            stations.extend(parse_entry(body, ifindex)?);
            Ok(())
        })?;
        Ok(stations)
    }
}

impl fmt::Debug for ReceivedStations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedStations").field("by_ifindex", &self.by_ifindex).finish_non_exhaustive()
    }
}

/// Parses one entry; `None` unless it is an address in the list of the interface itself. Stations that a bridge or a
/// switch chip has learned have another flag or state, and those behind a tunnel have the address of its other end.
fn parse_entry(body: &[u8], ifindex: u32) -> Result<Option<Station>, String> {
    // `struct ndmsg`: family, padding, number of the interface, state, flags, type.
    let &[_, _, _, _, i0, i1, i2, i3, s0, s1, flags, _] =
        body.first_chunk().ok_or("an address without its header")?;
    let is_own = u32::from_ne_bytes([i0, i1, i2, i3]) == ifindex
        && flags & libc::NTF_SELF != 0
        && u16::from_ne_bytes([s0, s1]) & libc::NUD_PERMANENT != 0;
    let (mut station, mut is_remote) = (None, false);
    for attribute in attributes(body, ENTRY_HEADER_BYTES) {
        let attribute = attribute?;
        match attribute.kind() {
            libc::NDA_LLADDR => station = Station::try_from(attribute.value()).ok(),
            libc::NDA_DST => is_remote = true,
            _ => {}
        }
    }
    Ok(station.filter(|_| is_own && !is_remote))
}

/// The family of requests for forwarding tables (`AF_BRIDGE`).
const AF_BRIDGE: u8 = 7;
/// Bytes of a `struct ndmsg`.
const ENTRY_HEADER_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::netlink::sample::attribute;

    const STATION: Station = [2, 0, 0, 0, 0, 9];

    fn entry(ifindex: u32, state: u16, flags: u8, more: &[u8]) -> Vec<u8> {
        let mut body = vec![AF_BRIDGE, 0, 0, 0];
        body.extend(ifindex.to_ne_bytes());
        body.extend(state.to_ne_bytes());
        body.extend([flags, 0]);
        body.extend(attribute(libc::NDA_LLADDR, &STATION));
        body.extend(more);
        body
    }

    #[test]
    fn only_addresses_of_the_interface_itself_are_received() {
        const PERMANENT: u16 = libc::NUD_PERMANENT;
        let behind_a_tunnel = attribute(libc::NDA_DST, &[192, 0, 2, 1]);
        let cases = [
            ("added by a macvlan", entry(3, PERMANENT, libc::NTF_SELF, &[]), true),
            ("another interface", entry(4, PERMANENT, libc::NTF_SELF, &[]), false),
            ("learned by a switch chip", entry(3, 2, libc::NTF_SELF, &[]), false),
            ("in the table of a bridge", entry(3, PERMANENT, 4, &[]), false),
            ("behind a tunnel", entry(3, PERMANENT, libc::NTF_SELF, &behind_a_tunnel), false),
        ];
        for (name, body, expected) in cases {
            assert_eq!(parse_entry(&body, 3), Ok(expected.then_some(STATION)), "{name}");
        }
        assert!(parse_entry(&[0; 11], 3).is_err());
        assert!(parse_entry(&entry(3, PERMANENT, 2, &[])[..16], 3).is_err());
    }

    #[test]
    fn the_addresses_are_read_once_per_batch() {
        let mut stations = ReceivedStations::default();
        // Interface 1 of every namespace is lo, which receives no further address.
        assert!(!stations.has(1, STATION));
        stations.by_ifindex.insert(1, vec![STATION]);
        assert!(stations.has(1, STATION));
        stations.begin_batch();
        assert!(!stations.has(1, STATION));
    }
}
