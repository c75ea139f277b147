//! TrafficAlerted watches all traffic that transits a Linux gateway and tells its operator, within a second, who
//! uses too much and who is scanning.
//!
//! # The life of a packet
//!
//! ```text
//!  kernel ring block -> frames -> Summary -> a worker's Delta -> Window -> findings -> alerts -> sinks, HTTP
//!   sys/ring            packet/   packet/     flow/delta          flow/     detect/     alert/
//!                       decode    summary     flow/table          window    volume      ledger, line
//!  |--------------- worker thread, one per ring, nothing shared ---------| |--- analyst thread ---| |- one thread each
//! ```
//!
//! Read `sys/ring.rs`, `engine/worker.rs` (with `pipeline.rs`), `packet/decode.rs`, `flow/delta.rs` (with `decoded.rs`,
//! `exact_match.rs` and `family.rs`) over `flow/table.rs`, `flow/window.rs`, `detect/detectors/volume.rs`,
//! `alert/ledger.rs`, `alert/line.rs`, in this order: that is one packet, from the ring to a line in the log, without a
//! lock or a callback on the way.
//!
//! # The idea
//!
//! Everything a worker counts is a sum. Merging two workers is addition, merging two ticks is the same addition,
//! and a sliding window is addition of the newest slot and subtraction of the oldest. So workers share nothing:
//! each counts into a table of its own and, four times a second, gives the table away and takes an empty one
//! back ([`flow::handover`]). One thread, the analyst, adds up what it is given, judges the hosts that did
//! something, and publishes a report that readers clone a pointer to. A slow reader, a slow sink or a slow analyst
//! makes nobody before it wait; the tick gets longer, and nothing is lost.
//!
//! # The promises
//!
//! 1. *Counted once, counted right.* Every frame that the kernel offered is counted, skipped with a reason, or
//!    dropped by the kernel, and the three add up ([`flow::Accounting`]).
//! 2. *Nothing over a limit is missed, nothing under it accused.* Windows slide, so no reset hides a burst; a
//!    contact is an initiation, so a server that answers is no scanner.
//! 3. *It never hurts the gateway.* Tables have limits and say what they refuse; no lock, allocation or system
//!    call per packet; no capability is kept once the rings are open.
//!
//! # The floors
//!
//! Imports point down only; siblings on one floor do not know each other. `cli` joins `engine` to `api`,
//! `engine` joins `capture` to `flow`.
//!
//! ```text
//!  7  main  cli          the process, one file per command; part of the program, not of this library
//!  6  config             file -> checked Config -> one Options or Limits for each floor
//!  5  engine      api    threads and lifecycle      |  HTTP, JSON, dashboard
//!  4  alert < report     ledger, alert, its JSON, sinks | what readers are shown; it stands above alert on this floor
//!  3  detect      enrich pure functions: counts -> findings | GeoIP, names of hosts
//!  2  capture     flow   frames from kernel or file |  counting, merging, windows
//!  1  packet             bytes -> Summary
//!  0  sys  time  logging  privileges  published  supervisor  sync: the unsafe room, two kinds of time, the log's form,
//!                                      a cell to show a value in, systemd, the atomics of the hand-over
//! ```
//!
//! Unsafe code is in [`sys`] alone; every other floor forbids it.

// Floor 0.
pub mod logging;
pub mod privileges;
pub mod published;
pub mod supervisor;
mod sync;
pub mod sys;
pub mod time;

// Floor 1.
pub mod packet;

// Floor 2.
pub mod capture;
pub mod flow;

// Floor 3.
pub mod detect;
pub mod enrich;

// Floor 4; report shows what alert keeps.
pub mod alert;
pub mod report;

// Floor 5.
pub mod api;
pub mod engine;

// Floor 6.
pub mod config;
