//! Containers of the flow tables, without a word about hosts or packets.
//!
//! * [`chunked_vec`] grows without copying, [`slab`] adds numbers that are used again, [`index`] finds a number by
//!   hash.
//! * [`slot_ring`] keeps what a sliding window adds and subtracts, [`delay_queue`] what waits for a point in time.
//! * [`packed`] stores integers in as few bytes as they need.
//!
//! None of them knows its keys or reads a clock. Every container that packets can fill has a limit that its owner sets.
#![forbid(unsafe_code)]

pub(in crate::flow) mod chunked_vec;
pub(in crate::flow) mod delay_queue;
pub(in crate::flow) mod index;
pub(in crate::flow) mod packed;
pub(in crate::flow) mod slab;
pub(in crate::flow) mod slot_ring;
