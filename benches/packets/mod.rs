//! Generated packets for the benches.

use std::net::Ipv4Addr;

use traffic_alerted::packet::{Endpoints, Summary, Transport};

/// Returns the UDP packet of pair `n` in a frame of 64 bytes. Each destination has 250 sources.
pub(crate) fn udp(n: u32) -> Summary {
    let src = Ipv4Addr::from_bits(0x0a00_0000 + n % 250);
    let dst = Ipv4Addr::from_bits(0xc612_0000 + n / 250);
    let transport = Transport::Ports { src_port: 40_000, dst_port: 53 };
    Summary::plain(Endpoints::V4 { src, dst }, 50, 17, transport)
}
