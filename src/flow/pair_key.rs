//! What the rows of a delta are found by: a pair of hosts, and a port of it, as compact as each family allows.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::packet::Endpoints;

use super::table::Key;

/// A directed pair of hosts of one family.
pub trait PairKey: Key {
    /// The same pair, of either family.
    fn endpoints(&self) -> Endpoints;

    /// The pair of the other direction.
    fn reversed(&self) -> Self;

    /// No host to no host.
    const UNSPECIFIED: Self;

    /// Its bits as one number, upon each other where they are more; nothing secret is in it.
    fn fold(&self) -> u64;
}

/// Two IPv4 hosts.
#[derive(Clone, Copy, Debug, Eq)]
pub struct V4Pair {
    /// Who sent.
    pub src: Ipv4Addr,
    /// To whom.
    pub dst: Ipv4Addr,
}

impl V4Pair {
    /// As one number, read as it lies in memory.
    #[inline(always)]
    fn bits(self) -> u64 {
        let [src, dst] = [self.src, self.dst].map(bits_as_they_lie);
        u64::from(dst) << 32 | u64::from(src)
    }
}

impl PartialEq for V4Pair {
    /// In one step: the compiler takes four.
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

/// Two IPv6 hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V6Pair {
    /// Who sent.
    pub src: Ipv6Addr,
    /// To whom.
    pub dst: Ipv6Addr,
}

/// A port that one host sent to at another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortOf<P> {
    /// Who sent, and to whom.
    pub pair: P,
    /// The sender's port; 0 where the packet says by itself that it is a contact, or the answer to one.
    pub src_port: u16,
    /// The port it was sent to.
    pub dst_port: u16,
    /// The protocol that the ports belong to.
    pub protocol: u8,
}

/// A port that one host sent to at another, of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortKey {
    /// Who sent, and to whom.
    pub endpoints: Endpoints,
    /// The protocol that the ports belong to.
    pub protocol: u8,
    /// The sender's port; 0 where the packet says by itself that it is a contact, or the answer to one.
    pub src_port: u16,
    /// The port it was sent to.
    pub dst_port: u16,
}

/// An address as a number, in the byte order of this machine: to tell addresses apart, for which it need not be swapped.
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
    fn fold(&self) -> u64 {
        // Turned, so that two hosts of one network do not cancel each other out.
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
    /// The same key, of either family.
    pub fn key(&self) -> PortKey {
        let Self { pair, src_port, dst_port, protocol } = *self;
        PortKey { endpoints: pair.endpoints(), protocol, src_port, dst_port }
    }
}
