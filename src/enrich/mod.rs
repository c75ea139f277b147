//! Names and origins of hosts by their addresses, and addresses of hosts by their names.
//!
//! * **Owns** the lookups in GeoIP databases ([`GeoIp`]), reverse DNS (`ReverseDns`, RFC 1035) and the resolution of
//!   host names with a timeout (`resolve`).
//! * **Does not contain** alerts and sinks: its callers pass an address or a name.
//! * **Fails** in part: without a usable database, or an answer before the timeout, fields of `HostDetails` are `None`.
//!   A problem with a database is logged once. After a failed lookup in reverse DNS, no query is sent for half a
//!   minute.
//!
//! A GeoIP lookup reads memory and never blocks. The other two block until their timeout, so only threads of sinks
//! call them.
#![forbid(unsafe_code)]

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
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
