//! The lab: the real binary on real packets, through real kernels.
//!
//! Each test makes its own network: hosts are network namespaces ([`Host`](support::host::Host)), wires are veth
//! pairs ([`Host::plug`](support::host::Host::plug)), and the program under test runs on one of the hosts
//! ([`Program`](support::program::Program)). Traffic comes from real tools and real sockets, or from an
//! [`Injector`](support::injector::Injector) where every byte must be known.
//!
//! ```text
//!   cargo test --test lab                      the test, on the machine as it is
//!        '-- unshare --user --net --pid ...    the same test once more, alone in namespaces of its own
//!                 |-- thread in `client`  ==veth==  thread in `router`  ==veth==  thread in `server`
//!                 '-- TrafficAlerted, in `router`
//! ```
//!
//! No privilege is needed: in a user namespace any user is root of its own, isolated networks. Tests run in parallel,
//! since each has all addresses and ports for itself, and leave nothing behind: the namespaces of a test end with its
//! last process. On a machine that refuses namespaces, or lacks a tool, the tests fail with a message that names the
//! remedy.
//!
//! No test sleeps for luck. A test waits for what must happen, with a deadline; it looks for what must not happen after
//! the program has ended, since the program logs all alerts that follow from its counts before it ends. Only that a
//! host does not respond is not known before a timeout.
#![forbid(unsafe_code)]

#[path = "../packets/mod.rs"]
mod packets;
mod support;

mod access;
mod accounting;
mod address_filter;
mod alert_file;
mod alert_floods;
mod alert_rate;
mod answers;
#[cfg(feature = "attack-tests")]
mod attack;
mod busy_hosts;
mod changes;
mod confinement;
mod copies;
mod cores;
mod counted_once;
mod devices;
mod heavy_load;
mod helper;
mod interfaces;
mod limits;
mod links;
mod loss;
mod masquerade;
mod mass_scanners;
mod memory;
mod mutes;
mod one_capability;
mod other_stations;
mod paths;
mod pppoe;
mod privileges;
mod reload;
mod rings;
mod scans;
mod sinks;
mod state;
mod stopping;
mod storm;
mod techniques;
mod verdicts;
mod volume;
mod waiting;
mod wire_exact;
