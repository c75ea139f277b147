//! Stands for the program's `flow`.

pub mod delta;
#[path = "../../../src/flow/handover.rs"]
pub mod handover;
