//! The lab: the real binary on real packets, through real kernels.
//!
//! Each test lays its own little network: hosts are network namespaces ([`Host`](support::host::Host)), wires are veth
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
//! No privilege is needed: a user namespace makes any user root of networks that nobody else sees. Tests run side by
//! side, since each has all addresses and ports for itself, and leave nothing behind: with the last process of a
//! test its namespaces are gone. A machine that refuses namespaces, or lacks a tool, fails the tests and is told
//! what to do about it.
//!
//! Nothing here sleeps for luck. What must happen is waited for, with a deadline; what must not happen is looked for
//! when the program has ended, since its last act is to say every alert that follows from what it has seen. Only that
//! somebody stays silent is known no sooner than when an answer is overdue.
#![forbid(unsafe_code)]

#[path = "../packets/mod.rs"]
mod packets;
mod support;

mod accounting;
mod alert_file;
mod answers;
mod busy_hosts;
mod changes;
mod cores;
mod counted_once;
mod devices;
mod interfaces;
mod limits;
mod links;
mod loss;
mod masquerade;
mod mass_scanners;
mod mutes;
mod one_capability;
mod outlets;
mod pppoe;
mod reload;
mod rings;
mod scans;
mod state;
mod stopping;
mod storm;
mod techniques;
mod volume;
mod waiting;
mod wire_exact;
