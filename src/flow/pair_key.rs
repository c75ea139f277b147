//! The keys of the rows of a delta: a pair of hosts, or a port of a pair, as compact as each address family allows.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::packet::Endpoints;

use super::table::Key;

/// A directed pair of hosts of one address family.
pub trait PairKey: Key {
    /// Returns the pair as endpoints of either family.
    fn endpoints(&self) -> Endpoints;

    /// Returns the pair of the other direction.
    fn reversed(&self) -> Self;

    /// The pair of which both addresses are unspecified.
    const UNSPECIFIED: Self;

    /// Returns an unkeyed 64-bit fold of the key (XOR for IPv6). It is not a hash.
    fn fold(&self) -> u64;
}

/// A directed pair of IPv4 hosts.
#[derive(Clone, Copy, Debug, Eq)]
pub struct V4Pair {
    /// The source.
    pub src: Ipv4Addr,
    /// The destination.
    pub dst: Ipv4Addr,
}

impl V4Pair {
    /// Both addresses in one number, in native byte order.
    #[inline(always)]
    fn bits(self) -> u64 {
        let [src, dst] = [self.src, self.dst].map(bits_as_they_lie);
        u64::from(dst) << 32 | u64::from(src)
    }
}

impl PartialEq for V4Pair {
    /// Compares both addresses at once; the derived comparison takes four steps.
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

/// A directed pair of IPv6 hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V6Pair {
    /// The source.
    pub src: Ipv6Addr,
    /// The destination.
    pub dst: Ipv6Addr,
}

/// A port that one host sent to at another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortOf<P> {
    /// The sender and the receiver.
    pub pair: P,
    /// The source port; 0 if `is_evident`.
    pub src_port: u16,
    /// The destination port.
    pub dst_port: u16,
    /// The protocol of the ports.
    pub protocol: u8,
    /// True if the packet itself shows that it is a contact or an answer to one. Port 0 is a port like any other, so it
    /// does not show that.
    pub is_evident: bool,
}

/// A port that one host sent to at another, of either address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortKey {
    /// The sender and the receiver.
    pub endpoints: Endpoints,
    /// The protocol of the ports.
    pub protocol: u8,
    /// The source port; 0 if `is_evident`.
    pub src_port: u16,
    /// The destination port.
    pub dst_port: u16,
    /// True if the packet itself shows that it is a contact or an answer to one.
    pub is_evident: bool,
}

/// Returns an address as a number in native byte order. Comparing for equality needs no byte swap.
#[inline(always)]
pub(super) fn bits_as_they_lie(addr: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(addr.octets())
}

impl Key for V4Pair {
    #[inline(always)]
    fn is_reversed(&self) -> bool {
        bits_as_they_lie(self.src) > bits_as_they_lie(self.dst)
    }
}

impl Key for V6Pair {
    #[inline(always)]
    fn is_reversed(&self) -> bool {
        self.src > self.dst
    }
}

impl PairKey for V4Pair {
    #[inline(always)]
    fn endpoints(&self) -> Endpoints {
        Endpoints::V4 { src: self.src, dst: self.dst }
    }

    fn reversed(&self) -> Self {
        Self { src: self.dst, dst: self.src }
    }

    const UNSPECIFIED: Self = Self { src: Ipv4Addr::UNSPECIFIED, dst: Ipv4Addr::UNSPECIFIED };

    #[inline(always)]
    fn fold(&self) -> u64 {
        self.bits()
    }
}

impl PairKey for V6Pair {
    #[inline(always)]
    fn endpoints(&self) -> Endpoints {
        Endpoints::V6 { src: self.src, dst: self.dst }
    }

    fn reversed(&self) -> Self {
        Self { src: self.dst, dst: self.src }
    }

    const UNSPECIFIED: Self = Self { src: Ipv6Addr::UNSPECIFIED, dst: Ipv6Addr::UNSPECIFIED };

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "only these bits are wanted")]
    fn fold(&self) -> u64 {
        // Rotated, so that two hosts of one network do not cancel out.
        let both = self.src.to_bits() ^ self.dst.to_bits().rotate_left(29);
        (both >> 64) as u64 ^ both as u64
    }
}

impl<P: PairKey> Key for PortOf<P> {
    #[inline(always)]
    fn is_reversed(&self) -> bool {
        self.pair.is_reversed()
    }
}

impl<P: PairKey> PortOf<P> {
    /// Returns the same key for either address family.
    pub fn key(&self) -> PortKey {
        let Self { pair, src_port, dst_port, protocol, is_evident } = *self;
        PortKey { endpoints: pair.endpoints(), protocol, src_port, dst_port, is_evident }
    }
}
