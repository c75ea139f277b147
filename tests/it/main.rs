//! Tests of the library through its public items, and of the binary, in one crate, which is linked once.
//!
//! Tests that need packets on wires are in `tests/lab`; a test that needs its own allocator is a crate of its own.
#![forbid(unsafe_code)]

#[path = "../packets/forged.rs"]
mod forged;
#[path = "../../src/enrich/geoip/sample.rs"]
mod geoip;
#[path = "../packets/mod.rs"]
mod packets;

mod access;
mod alert_file;
mod api;
mod command_helper;
mod config_cli;
#[cfg(feature = "dashboard")]
mod dashboard;
mod decode_property;
mod documents;
mod escapes;
mod eviction;
mod fuzz_seeds;
mod replay;
mod replay_cli;
mod replay_direction;
mod replay_faults;
mod replay_files;
mod replay_formats;
mod replay_signals;
mod replay_times;
mod service_unit;
mod sums;
mod test_alert;
