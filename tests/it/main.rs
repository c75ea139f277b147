//! Tests of the library and the program through their public faces, in one crate: they are linked once.
//!
//! What needs packets on wires is in `tests/lab`; what needs an allocator of its own is a crate of its own beside it.
#![forbid(unsafe_code)]

#[path = "../packets/forged.rs"]
mod forged;
#[path = "../../src/enrich/geoip/sample.rs"]
mod geoip;
#[path = "../packets/mod.rs"]
mod packets;

mod alert_file;
mod api;
mod config_cli;
#[cfg(feature = "dashboard")]
mod dashboard;
mod decode_property;
mod eviction;
mod fuzz_seeds;
mod replay;
mod replay_cli;
mod replay_formats;
mod sums;
mod test_alert;
