//! TrafficAlerted watches all traffic that transits a Linux gateway and tells its operator, within a second, who
//! uses too much and who is scanning.
//!
//! # The life of a packet
//!
//! ```text
//!  kernel ring block -> frames -> Summary -> a worker's Delta -> Window -> findings -> alerts -> sinks, HTTP
//!   sys/ring            packet/   packet/     flow/delta          flow/     detect/     alert/
//!                       decode    summary                         window    detectors   ledger, line
//!  |--------------- worker thread, one per ring, nothing shared ---------| |--- analyst thread ---| |- one thread each
//! ```
//!
//! `ARCHITECTURE.md` lists the eight files that show one packet from the ring to a line in the log, the threads and
//! channels, and the words that this code uses.
//!
//! # The idea
//!
//! Everything that a worker counts is a sum. Merging two workers is addition, merging two ticks is the same addition,
//! and a sliding window adds the newest slot and subtracts the oldest. So workers share nothing: each counts into its
//! own delta and, four times a second, hands it over and takes an empty one back ([`flow::handover`]). One thread, the
//! analyst, adds the deltas up, compares the hosts that were active with their limits, and publishes a report of which
//! readers clone an `Arc`. A slow reader or a slow sink delays nobody. If the analyst is slow, ticks get longer and
//! nothing is lost.
//!
//! # The promises
//!
//! 1. *Counted once, counted right.* Every frame that the kernel offered is counted, skipped with a reason, or
//!    dropped by the kernel, and the three add up ([`flow::Accounting`]).
//! 2. *Nothing over a limit is missed, nothing under it is accused.* Windows slide, so no reset hides a burst. A
//!    contact is an initiation, so a server that answers is no scanner.
//! 3. *It never hurts the gateway.* Every table has a limit, and what does not fit is counted as spilled. The path of a
//!    packet on a known interface has no lock, no allocation and no system call. No capability is kept once the rings
//!    are open.
//!
//! # The floors
//!
//! Imports point down only; rooms on one line do not import each other, with one exception: `report` stands above
//! `alert`. No two files outside `flow` import each other in a circle. `tests/tidy.rs` checks this.
//!
//! ```text
//!  7  main, cli           the process, one file per command (part of the program, not of this library)
//!  6  config              file -> checked Config -> one Options or Limits for each floor
//!  5  engine | api        threads and life cycle | HTTP, JSON, dashboard
//!  4  alert < report      ledger, alerts, sinks < what readers are shown
//!  3  detect | enrich     counts -> findings, pure functions | GeoIP, names of hosts
//!  2  capture | flow      frames from the kernel or a file | counting, merging, windows
//!  1  packet              bytes -> Summary
//!  0  logging             form of the log, and its queue
//!     store                       the database of the state: rows, a thread that writes
//!     privileges, sandbox, supervisor   capabilities, confinement of threads, systemd
//!     sys                 rings, sockets, mappings: all unsafe code
//!     published, sync, time       a value that one thread publishes, atomics of the hand-over, two kinds of time
//!     bounded_file                files of an operator, read without waiting
//!     escape, human               text of strangers without hidden characters, amounts as people read them
//! ```
//!
//! Unsafe code is in [`sys`] alone; every other floor forbids it.

// A cast that may lose bits or a sign needs a reason here; the numbers of tests and benches are small and their own.
#![cfg_attr(
    not(test),
    warn(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss
    )
)]

#[cfg(all(feature = "attack-tests", not(debug_assertions)))]
compile_error!("the feature attack-tests is for tests: build without it, or without --release");

// Floor 0.
pub mod bounded_file;
pub mod escape;
pub mod human;
pub mod logging;
pub mod privileges;
pub mod published;
pub mod sandbox;
pub mod store;
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

// What the fuzz targets run; it is in no program.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
