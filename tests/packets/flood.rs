//! A flood of spoofed sources with a few real hosts inside: one that sends much, and slow scanners. It is generated in
//! order of time and in constant memory, so it may be of any length.

use std::io::{self, Write};
use std::net::Ipv4Addr;

use super::capture_file::{LITTLE, NANOSECONDS};

/// Where the sources come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sources {
    /// So many in turn, again and again.
    Cycled(u32),
    /// Any of 2^32.
    Random,
}

/// Rates and duration of a flood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flood {
    pub(crate) sources: Sources,
    pub(crate) packets_per_s: f64,
    /// Seconds of the traffic window.
    pub(crate) interval_s: f64,
    /// Bytes per second of the host that sends much.
    pub(crate) heavy_bytes_per_s: f64,
    /// Scanners, and the contacts that each of them has in nine tenths of the interval, at random times.
    pub(crate) scanners: [(u8, u32); 2],
    pub(crate) seed: u64,
}

/// One packet of IPv4.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Packet {
    pub(crate) at_s: f64,
    pub(crate) src: Ipv4Addr,
    pub(crate) dst: Ipv4Addr,
    pub(crate) ip_bytes: u16,
    /// A TCP SYN; otherwise a segment of a connection.
    pub(crate) is_syn: bool,
}

/// The host that sends much.
pub(crate) const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const HEAVY_PACKET_BYTES: u16 = 1400;
/// When the capture begins.
pub(crate) const BEGINS_S: f64 = 1_000.0;

/// A scanner of the first or the second kind.
pub(crate) fn scanner(kind: u8, number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1 + kind, 0, number)
}

impl Flood {
    /// Seconds of the flood. The real hosts begin after a tenth of an interval, and the flood ends with their interval.
    pub(crate) fn lasts_s(&self) -> f64 {
        1.1 * self.interval_s
    }

    fn real_begin_s(&self) -> f64 {
        BEGINS_S + 0.1 * self.interval_s
    }

    /// Returns the time at which the heavy host has sent more than this.
    pub(crate) fn heavy_exceeds_at_s(&self, ip_bytes: u64) -> f64 {
        let packets = ip_bytes / u64::from(HEAVY_PACKET_BYTES) + 1;
        self.real_begin_s() + (packets - 1) as f64 * self.heavy_gap_s()
    }

    fn heavy_gap_s(&self) -> f64 {
        f64::from(HEAVY_PACKET_BYTES) / self.heavy_bytes_per_s
    }

    /// Returns all packets, in order of time.
    pub(crate) fn packets(&self) -> impl Iterator<Item = Packet> + use<> {
        let flood = *self;
        let mut real = flood.real_packets().peekable();
        let all = (flood.packets_per_s * flood.lasts_s()) as u64;
        let mut spoofed = (0..all).map(move |n| flood.spoofed(n)).peekable();
        std::iter::from_fn(move || match (real.peek(), spoofed.peek()) {
            (Some(one), Some(other)) if one.at_s <= other.at_s => real.next(),
            (Some(_), None) => real.next(),
            _ => spoofed.next(),
        })
    }

    fn spoofed(&self, n: u64) -> Packet {
        let src = match self.sources {
            Sources::Cycled(sources) => 0x2000_0000 + (n % u64::from(sources)) as u32,
            Sources::Random => mixed(self.seed ^ n << 8) as u32,
        };
        // Real hosts are in 10.0.0.0/8, and sources that are no hosts are not counted.
        let src = match src >> 24 {
            0 | 10 | 127 | 224.. => (src % 0x0100_0000) | 0x3000_0000,
            _ => src,
        };
        Packet {
            at_s: BEGINS_S + n as f64 / self.packets_per_s,
            src: src.into(),
            // Each source has one target.
            dst: Ipv4Addr::new(198, 51, 100, (mixed(u64::from(src)) % 16) as u8),
            // With the options of Linux it is longer than a scanner's, so that a scanner does not have the most bytes.
            ip_bytes: 60,
            is_syn: true,
        }
    }

    fn real_packets(&self) -> impl Iterator<Item = Packet> + use<> {
        let begins = self.real_begin_s();
        let mut packets: Vec<Packet> = Vec::new();
        for (kind, (scanners, contacts)) in self.scanners.into_iter().enumerate() {
            for number in 0..scanners {
                for contact in 0..contacts {
                    let src = scanner(kind as u8, number);
                    let draw = mixed(self.seed ^ u64::from(src.to_bits()) << 16 ^ u64::from(contact));
                    packets.push(Packet {
                        at_s: begins + 0.9 * self.interval_s * (draw >> 11) as f64 / (1u64 << 53) as f64,
                        src,
                        dst: (0xcb00_0000 + (u32::from(number) << 12) + contact).into(),
                        ip_bytes: 40,
                        is_syn: true,
                    });
                }
            }
        }
        let ends = BEGINS_S + self.lasts_s();
        let heavy = (0u64..).map(|n| begins + n as f64 * self.heavy_gap_s()).take_while(|at_s| *at_s < ends);
        packets.extend(heavy.map(|at_s| Packet {
            at_s,
            src: HEAVY,
            dst: Ipv4Addr::new(192, 0, 2, 1),
            ip_bytes: HEAVY_PACKET_BYTES,
            is_syn: false,
        }));
        packets.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
        packets.into_iter()
    }

    /// Writes it as a capture of raw IP, with the headers of each packet.
    ///
    /// # Errors
    /// The error of `out`.
    pub(crate) fn write_pcap(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&LITTLE.pcap_header(NANOSECONDS, 101))?;
        let mut record = [0; 16 + 40];
        for packet in self.packets() {
            let nanos = (packet.at_s * 1e9) as u64;
            let fields =
                [(nanos / 1_000_000_000) as u32, (nanos % 1_000_000_000) as u32, 40, packet.ip_bytes.into()];
            for (at, field) in fields.iter().enumerate() {
                record[at * 4..][..4].copy_from_slice(&field.to_le_bytes());
            }
            record[16..].copy_from_slice(&packet.headers());
            out.write_all(&record)?;
        }
        out.flush()
    }
}

impl Packet {
    /// An IPv4 and a TCP header without options.
    fn headers(&self) -> [u8; 40] {
        let mut headers = [0; 40];
        headers[0] = 0x45;
        headers[2..4].copy_from_slice(&self.ip_bytes.to_be_bytes());
        headers[8..10].copy_from_slice(&[64, 6]);
        headers[12..16].copy_from_slice(&self.src.octets());
        headers[16..20].copy_from_slice(&self.dst.octets());
        headers[20..24].copy_from_slice(&[0x9c, 0x40, 0, 23]);
        headers[32] = 0x50;
        headers[33] = if self.is_syn { 0x02 } else { 0x10 };
        headers
    }
}

/// Every bit depends on every bit (splitmix64).
fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
