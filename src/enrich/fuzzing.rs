//! The fuzz targets of this room: answers of name servers, and databases of countries and networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::geoip::{GeoIp, ORGANIZATION_CHARS_MAX};
use super::ptr::{answer, has_address, is_plain, reverse_name};
use crate::escape::is_hidden;

/// Reads a datagram as the answer to a query whose number it has: the name in it can be shown, and an answer to another
/// query is none.
///
/// # Panics
/// Panics if one of these does not hold.
pub fn dns_answer(datagram: &[u8]) {
    let id = datagram.first_chunk().map_or(0, |&id| u16::from_be_bytes(id));
    for address in [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let asked_for = reverse_name(address);
        if let Some(Ok(Some(name))) = answer(datagram, id, &asked_for) {
            assert!(is_plain(&name) && name.is_ascii() && name.len() <= 253, "{name:?}");
        }
        // The same datagram as the answer about the addresses of a name.
        let _ = has_address(datagram, id, &asked_for, address);
        assert!(answer(datagram, id ^ 1, &asked_for).is_none(), "it has another number");
    }
}

/// Reads bytes as a database of both kinds and looks addresses up in it: what is found has the promised form, and the
/// same lookup finds the same again.
///
/// # Panics
/// Panics if one of these does not hold.
pub fn mmdb(file: &[u8]) {
    let geoip = GeoIp::of_bytes(file);
    let addresses = [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V4(Ipv4Addr::BROADCAST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped()),
    ];
    for address in addresses {
        let found = geoip.of(address);
        assert_eq!(found, geoip.of(address));
        assert_eq!(found, geoip.of(address.to_canonical()));
        let details = found.details(None);
        if let Some(country) = details.country {
            assert!(country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_alphabetic()));
        }
        if let Some(organization) = details.as_organization {
            assert!(!organization.is_empty() && !organization.contains(is_hidden));
            // An escape has at most ten characters, as `\u{10ffff}`.
            assert!(organization.chars().count() <= 10 * ORGANIZATION_CHARS_MAX);
        }
    }
}
