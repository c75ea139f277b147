//! Reads the counters that the kernel keeps per interface, to be compared with what this program counts.
//!
//! They are requested with RTM_GETSTATS (Linux 4.7), whose reply has only the counters: a tenth of the bytes of a list
//! of links.
//!
//! Sources: `include/uapi/linux/if_link.h` (`struct if_stats_msg`, `struct rtnl_link_stats64`, whose first fields
//! have been the same since 2.6.35).

use super::error::NetlinkError;
use super::netlink::{DumpRequest, NetlinkSocket, attributes};

/// Counters of one interface (`struct rtnl_link_stats64`), in frames and bytes since it was created.
///
/// The driver decides which bytes count: most count the link header, veth does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Frames received.
    pub rx_packets: u64,
    /// Bytes of the frames received.
    pub rx_bytes: u64,
    /// Frames received and dropped, because there was no memory or no receiver.
    pub rx_dropped: u64,
    /// Frames received with an error.
    pub rx_errors: u64,
    /// Frames that the hardware dropped because it had no room for them; they are in none of the other counters.
    pub rx_missed: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes of the frames sent.
    pub tx_bytes: u64,
    /// Frames dropped before they were sent.
    pub tx_dropped: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
}

impl LinkCounters {
    /// Returns the increase since `earlier`; 0 for a counter that is lower than before, since the driver has reset it.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            rx_packets: self.rx_packets.saturating_sub(earlier.rx_packets),
            rx_bytes: self.rx_bytes.saturating_sub(earlier.rx_bytes),
            rx_dropped: self.rx_dropped.saturating_sub(earlier.rx_dropped),
            rx_errors: self.rx_errors.saturating_sub(earlier.rx_errors),
            rx_missed: self.rx_missed.saturating_sub(earlier.rx_missed),
            tx_packets: self.tx_packets.saturating_sub(earlier.tx_packets),
            tx_bytes: self.tx_bytes.saturating_sub(earlier.tx_bytes),
            tx_dropped: self.tx_dropped.saturating_sub(earlier.tx_dropped),
            tx_errors: self.tx_errors.saturating_sub(earlier.tx_errors),
        }
    }

    /// Parses the first fields of a `struct rtnl_link_stats64`; returns `None` if they are cut. Later kernels append
    /// fields.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut words = [0; STATS_WORDS];
        let given = bytes.as_chunks::<8>().0.get(..STATS_WORDS)?;
        for (word, bytes) in words.iter_mut().zip(given) {
            *word = u64::from_ne_bytes(*bytes);
        }
        let [
            rx_packets,
            tx_packets,
            rx_bytes,
            tx_bytes,
            rx_errors,
            tx_errors,
            rx_dropped,
            tx_dropped,
            ..,
            rx_missed,
        ] = words;
        Some(Self {
            rx_packets,
            rx_bytes,
            rx_dropped,
            rx_errors,
            rx_missed,
            tx_packets,
            tx_bytes,
            tx_dropped,
            tx_errors,
        })
    }
}

/// Reads the counters of every interface. An interface that is added or removed meanwhile may be missing.
pub(super) fn read(netlink: &mut NetlinkSocket) -> Result<Vec<(u32, LinkCounters)>, NetlinkError> {
    // `struct if_stats_msg`: every interface, this group of counters.
    let mut header = [0; STATS_HEADER_BYTES];
    header[8..].copy_from_slice(&FILTER_LINK_64.to_ne_bytes());
    let request = DumpRequest {
        what: "interface counters",
        request: RTM_GETSTATS,
        reply: RTM_NEWSTATS,
        header: &header,
    };
    let mut counters = Vec::new();
    netlink.dump_once(&request, |body| {
        counters.extend(parse_stats(body)?);
        Ok(())
    })?;
    Ok(counters)
}

pub(super) fn parse_stats(body: &[u8]) -> Result<Option<(u32, LinkCounters)>, String> {
    let ifindex = body.get(4..).and_then(<[u8]>::first_chunk).ok_or("a message without its header")?;
    let ifindex = u32::from_ne_bytes(*ifindex);
    for attribute in attributes(body, STATS_HEADER_BYTES) {
        let attribute = attribute?;
        if attribute.kind() == IFLA_STATS_LINK_64 {
            return Ok(LinkCounters::parse(attribute.value()).map(|counters| (ifindex, counters)));
        }
    }
    Ok(None)
}

/// Number of counters up to and including `rx_missed_errors`.
const STATS_WORDS: usize = 16;

// include/uapi/linux/rtnetlink.h; libc defines these only for glibc targets.
const RTM_NEWSTATS: u16 = 92;
const RTM_GETSTATS: u16 = 94;
// include/uapi/linux/if_link.h; libc lacks these.
const STATS_HEADER_BYTES: usize = 12;
const IFLA_STATS_LINK_64: u16 = 1;
const FILTER_LINK_64: u32 = 1 << (IFLA_STATS_LINK_64 - 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_is_read_from_its_offset() {
        // Each field of `struct rtnl_link_stats64` has its position as value.
        let words: Vec<u8> = (1..=25u64).flat_map(u64::to_ne_bytes).collect();
        let expected = LinkCounters {
            rx_packets: 1,
            tx_packets: 2,
            rx_bytes: 3,
            tx_bytes: 4,
            rx_errors: 5,
            tx_errors: 6,
            rx_dropped: 7,
            tx_dropped: 8,
            rx_missed: 16,
        };
        assert_eq!(LinkCounters::parse(&words), Some(expected));
        assert_eq!(LinkCounters::parse(&words[..16 * 8]), Some(expected), "of the oldest kernel");
        assert_eq!(LinkCounters::parse(&words[..16 * 8 - 1]), None);
    }

    #[test]
    fn the_counters_of_a_message_are_those_of_its_interface() {
        let mut message = vec![0; 4];
        message.extend(7u32.to_ne_bytes());
        message.extend(FILTER_LINK_64.to_ne_bytes());
        assert_eq!(parse_stats(&message), Ok(None), "an interface without counters");
        message.extend((4 + 16 * 8u16).to_ne_bytes());
        message.extend(IFLA_STATS_LINK_64.to_ne_bytes());
        message.extend((1..=16u64).flat_map(u64::to_ne_bytes));
        let read =
            parse_stats(&message).map(|stats| stats.map(|(ifindex, stats)| (ifindex, stats.rx_missed)));
        assert_eq!(read, Ok(Some((7, 16))));
        assert!(parse_stats(&message[..6]).is_err());
        assert!(parse_stats(&message[..20]).is_err());
    }

    #[test]
    fn a_difference_is_never_negative() {
        let earlier = LinkCounters { rx_packets: 5, tx_bytes: 9, ..LinkCounters::default() };
        let later = LinkCounters { rx_packets: 7, tx_bytes: 3, ..LinkCounters::default() };
        assert_eq!(later.since(&earlier), LinkCounters { rx_packets: 2, ..LinkCounters::default() });
    }

    #[test]
    fn this_machine_has_counters_for_lo() {
        let counters = read(&mut NetlinkSocket::open().unwrap()).unwrap();
        // Interface 1 of every namespace is lo.
        assert!(counters.iter().any(|&(ifindex, _)| ifindex == 1), "{counters:?}");
    }
}
