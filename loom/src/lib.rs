//! The hand-over that ships, over loom's atomics, with a delta that is small enough to be made for every interleaving.
//!
//! The modules have the paths that `handover.rs` imports from. Its unit tests are for the delta that ships, so nothing
//! of this is compiled for unit tests.
#![cfg(not(test))]

pub mod flow;
pub mod sync;

/// Stands for the program's `time`.
pub mod time {
    /// A point of the engine's clock.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Moment(pub u64);
}
