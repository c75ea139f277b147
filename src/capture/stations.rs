//! Reads the unicast addresses that an interface receives besides its own: those of devices above it that are in
//! another network namespace, such as the macvlan of a container, and those that were added with `bridge fdb add`.
//!
//! The kernel adds the address of such a device to the list of the interface below without a notice. So a worker reads
//! the list when a frame for an unknown station arrives. The dump needs no capability, but the kernel makes it under
//! the lock of all interfaces (RTNL), for which it may wait. So an answer holds for [`KNOWN_FOR`], a list is not read
//! for another station within [`READ_GAP`], and both are longer where reading takes long.
//!
//! Sources: `net/core/rtnetlink.c` (`ndo_dflt_fdb_dump`, `valid_fdb_dump_legacy`), `include/uapi/linux/neighbour.h`.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tracing::warn;

use super::error::NetlinkError;
use super::netlink::{DumpRequest, NetlinkSocket, attributes};
use crate::time::{Moment, monotonic_now};

/// A link-layer address of Ethernet.
pub(super) type Station = [u8; 6];

/// The addresses that one worker has read.
#[derive(Default)]
pub(super) struct ReceivedStations {
    lists: StationLists,
    reader: StationReader,
    /// The time of the present batch; `None` if no frame of it needed the time.
    now: Option<Moment>,
}

impl ReceivedStations {
    /// Begins a batch: its first frame that needs the time reads the clock.
    pub(super) fn begin_batch(&mut self) {
        self.now = None;
    }

    /// Returns true if the interface receives frames for this station. If the addresses cannot be read, it returns
    /// false.
    pub(super) fn has(&mut self, ifindex: u32, station: Station) -> bool {
        let now = *self.now.get_or_insert_with(monotonic_now);
        let reader = &mut self.reader;
        self.lists.has(ifindex, station, now, || {
            let begun_at = monotonic_now();
            let stations = reader.read_or_warn(ifindex);
            (stations, monotonic_now().since(begun_at))
        })
    }
}

/// The lists by interface, and how long they hold.
#[derive(Debug, Default)]
struct StationLists(HashMap<u32, StationList>);

#[derive(Debug)]
struct StationList {
    stations: Vec<Station>,
    /// The time until which the stations of the list are taken for received.
    known_until: Moment,
    /// The time until which other stations are taken for not received.
    unknown_until: Moment,
}

impl StationLists {
    /// Returns true if the list of the interface has the station. `read` returns the list and the time that reading
    /// took; it is called unless the answer is known at `now`.
    fn has(
        &mut self,
        ifindex: u32,
        station: Station,
        now: Moment,
        read: impl FnOnce() -> (Vec<Station>, Duration),
    ) -> bool {
        if let Some(list) = self.0.get(&ifindex) {
            let has = list.stations.contains(&station);
            if now < if has { list.known_until } else { list.unknown_until } {
                return has;
            }
        }
        let (stations, took) = read();
        let (has, pause) = (stations.contains(&station), took * GAP_FACTOR);
        // Interfaces that were removed leave the map here.
        self.0.retain(|_, list| now < list.known_until);
        let read_at = now.plus(took);
        let list = StationList {
            stations,
            known_until: read_at.plus(pause.max(KNOWN_FOR)),
            unknown_until: read_at.plus(pause.max(READ_GAP)),
        };
        self.0.insert(ifindex, list);
        has
    }
}

/// Reads the list of an interface from the kernel.
#[derive(Default)]
struct StationReader {
    netlink: Option<NetlinkSocket>,
    /// True if a failure was logged, so that it is logged once.
    has_warned: bool,
}

impl StationReader {
    /// Returns an empty list if the addresses cannot be read.
    fn read_or_warn(&mut self, ifindex: u32) -> Vec<Station> {
        self.read(ifindex).unwrap_or_else(|error| {
            if !std::mem::replace(&mut self.has_warned, true) {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "the addresses that interfaces receive cannot be read: frames for devices in other namespaces \
                     are skipped"
                );
            }
            Vec::new()
        })
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
        f.debug_struct("ReceivedStations").field("lists", &self.lists).finish_non_exhaustive()
    }
}

/// Parses one entry; `None` unless it is an address in the list of the interface itself. Stations that a bridge or a
/// switch chip has learned have another flag or state, and those behind a tunnel have the address of its other end.
pub(super) fn parse_entry(body: &[u8], ifindex: u32) -> Result<Option<Station>, String> {
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

/// Time for which a station that was in a list is taken for received.
const KNOWN_FOR: Duration = Duration::from_secs(1);
/// Time after a reading in which a station that was not in the list causes no other one. A port that a switch floods
/// receives such frames all the time.
const READ_GAP: Duration = Duration::from_millis(100);
/// Both times in multiples of the duration of the reading, if that is longer: a worker waits for the lock of all
/// interfaces at most a fifth of its time.
const GAP_FACTOR: u32 = 4;
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

    fn ms(ms: u64) -> Moment {
        Moment(1_000_000 * ms)
    }

    #[test]
    fn an_answer_holds_for_a_second_and_other_stations_cause_ten_readings_a_second() {
        const STRANGER: Station = [2, 0, 0, 0, 0, 7];
        let mut lists = StationLists::default();
        let mut readings = 0;
        let mut has = |ifindex, station, at, list: &[Station]| {
            lists.has(ifindex, station, ms(at), || {
                readings += 1;
                (list.to_vec(), Duration::from_millis(1))
            })
        };
        // A batch every 20 ms, with frames for a container and for a station elsewhere.
        for at in (0..1000).step_by(20) {
            assert!(has(3, STATION, at, &[STATION]), "{at}");
            assert!(!has(3, STRANGER, at, &[STATION]), "{at}");
        }
        assert_eq!(readings, 9, "one every 120 ms, the first batch that is 100 ms after the last reading");

        let (mut lists, mut readings) = (StationLists::default(), 0);
        let mut has = |ifindex, station, at, list: &[Station]| {
            let has = lists.has(ifindex, station, ms(at), || {
                readings += 1;
                (list.to_vec(), Duration::ZERO)
            });
            (has, std::mem::take(&mut readings), lists.0.len())
        };
        assert_eq!(has(3, STATION, 0, &[]), (false, 1, 1));
        assert_eq!(has(3, STATION, 99, &[STATION]), (false, 0, 1));
        assert_eq!(has(4, STATION, 99, &[]), (false, 1, 2), "each interface has a list of its own");
        assert_eq!(has(3, STATION, 100, &[STATION]), (true, 1, 2), "a device was set up");
        assert_eq!(has(3, STATION, 1099, &[]), (true, 0, 2));
        assert_eq!(has(3, STATION, 1100, &[]), (false, 1, 1), "a device was removed; so was interface 4");
    }

    #[test]
    fn a_reading_that_takes_long_is_repeated_late() {
        let mut lists = StationLists::default();
        let mut is_read = |at| {
            let mut is_read = false;
            lists.has(3, STATION, ms(at), || {
                is_read = true;
                (vec![], Duration::from_millis(200))
            });
            is_read
        };
        assert_eq!([0, 150, 999, 1000].map(&mut is_read), [true, false, false, true], "200 ms + 4 * 200 ms");
    }

    #[test]
    fn the_list_of_this_machine_is_read() {
        let mut stations = ReceivedStations::default();
        // Interface 1 of every namespace is lo, which receives no further address.
        assert_eq!(stations.reader.read(1).expect("the dump needs no capability"), Vec::<Station>::new());
        assert!(!stations.has(1, STATION));
        let list =
            |stations| StationList { stations, known_until: Moment(u64::MAX), unknown_until: Moment(0) };
        stations.lists.0.insert(1, list(vec![STATION]));
        assert!(stations.has(1, STATION));
    }
}
