//! What is known of a host beside its address, and the addresses of a host that is known by name.
//!
//! * **Owns** the lookups in GeoIP databases ([`GeoIp`]), reverse DNS (`ReverseDns`, RFC 1035) and the resolution of
//!   host names with a deadline (`resolve`).
//! * **Refuses to know** alerts and sinks: it is given an address or a name and returns what it found.
//! * **Fails** by returning less: without a usable database or an answer in time, the fields of `HostDetails` are
//!   `None`. Problems with a database are logged once; a dead name server is not asked again for a while.
//!
//! A GeoIP lookup reads memory and never blocks. The other two block until their deadline, so only threads of sinks
//! call them.
#![forbid(unsafe_code)]

mod geoip;
mod host_details;
mod ptr;
mod resolve;
mod reverse_dns;

pub(crate) use geoip::GeoIpRecord;
#[cfg(test)]
pub(crate) use geoip::sample as geoip_sample;
pub use geoip::{GeoIp, GeoIpOptions};
pub(crate) use host_details::HostDetails;
pub(crate) use resolve::resolve;
pub(crate) use reverse_dns::ReverseDns;
pub use reverse_dns::ReverseDnsOptions;
