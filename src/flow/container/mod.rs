//! Containers of the flow tables. They contain nothing that is specific to hosts or packets.
//!
//! * [`chunked_vec`] grows without copying. [`slab`] is one whose rows are freed and whose row numbers are used again.
//!   [`index`] finds a row number by hash.
//! * [`slot_ring`] stores what a sliding window added until it is subtracted. [`delay_queue`] stores items that wait
//!   for a point in time.
//! * [`packed`] stores integers in as few bytes as they need.
//!
//! No container stores keys or reads a clock. Every container that packets can fill has a limit that its owner sets.
#![forbid(unsafe_code)]

pub(in crate::flow) mod chunked_vec;
pub(in crate::flow) mod delay_queue;
pub(in crate::flow) mod index;
pub(in crate::flow) mod packed;
pub(in crate::flow) mod slab;
pub(in crate::flow) mod slot_ring;
