//! Re-exports the atomics of the hand-over, so that the model checker loom can replace them.
//!
//! `loom/` compiles `flow/handover.rs` with a module of this name that has the same items made of loom's atomics, and
//! runs it in every interleaving. Items that `flow/handover.rs` imports from elsewhere are not part of that model.
#![forbid(unsafe_code)]

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use crossbeam_utils::atomic::AtomicCell;
