//! The atomics of the hand-over, and nothing of their own.
//!
//! `loom/` compiles `flow/handover.rs` with a module of this name that has the same items made of loom's atomics, and
//! runs it in every interleaving. What is imported from elsewhere is no part of that model.
#![forbid(unsafe_code)]

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use crossbeam_utils::atomic::AtomicCell;
