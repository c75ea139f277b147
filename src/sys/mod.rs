//! The only place with unsafe code: memory shared with the kernel, socket options, one call of C, one instruction.
//!
//! | file | what is unsafe in it |
//! | --- | --- |
//! | [`abi`] | nothing; it asserts the layouts that the others rely on |
//! | `descriptors` | closing a range of descriptors |
//! | [`allocator`] | the global allocator, and calling mimalloc and glibc to return memory to the system |
//! | [`packet_socket`] | `setsockopt`, `getsockopt`, the address of `bind`, owning a descriptor that was inherited |
//! | [`ring`] | the block status and the bytes of a block in memory shared with the kernel |
//! | [`poller`] | pushing a poll request on the io_uring submission queue |
//! | `file_writer` | pushing a write of bytes on the io_uring submission queue |
//! | `mapped_file` | mapping part of a file that others may write to |
//! | `prefetch` | the instruction that prefetches a cache line |
//! | `session` | starting a process in a session of its own |
//! | [`waker`], [`synthetic`] | nothing |
//! | `attack` | the calls of an attacker, in builds for tests alone (`attack-tests`) |
//!
//! Rules: each `unsafe` block has one operation and states why it is sound; no file here decides anything about
//! packets; the public functions are safe to call in any order. The walk over a ring block is safe code over a byte
//! slice ([`ring::frames_in_block`]), so that it can be tested with hostile bytes and without a kernel.
//!
//! This room does not contain interfaces, policies or counting. Failures are `errno`; the caller explains them.
#![allow(unsafe_code, reason = "memory shared with the kernel has no safe interface")]

pub mod abi;
pub mod allocator;
#[cfg(feature = "attack-tests")]
pub(crate) mod attack;
pub(crate) mod descriptors;
pub(crate) mod file_writer;
pub(crate) mod mapped_file;
pub mod packet_socket;
pub mod poller;
pub(crate) mod prefetch;
pub mod ring;
pub(crate) mod session;
pub mod synthetic;
pub mod waker;
