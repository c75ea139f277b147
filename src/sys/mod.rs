//! The unsafe room: everything that talks to the kernel through raw pointers, the call of C and the instruction that
//! have no safe form, and nothing else.
//!
//! | file | what is unsafe in it |
//! | --- | --- |
//! | [`abi`] | nothing; it asserts the layouts that the others rely on |
//! | [`allocator`] | asking mimalloc, which is written in C, to give memory back |
//! | [`packet_socket`] | `setsockopt`, `getsockopt` and the address of `bind` |
//! | [`ring`] | the block status and the bytes of a block in memory shared with the kernel |
//! | [`poller`] | pushing a poll request on the io_uring submission queue |
//! | [`file_writer`] | pushing a write of bytes on the io_uring submission queue |
//! | [`mapped_file`] | mapping part of a file that others may write to |
//! | [`prefetch`](mod@prefetch) | the instruction that fetches a cache line |
//! | [`waker`], [`synthetic`] | nothing |
//!
//! Rules: one operation per `unsafe` block, with the argument why it holds; no file here decides anything
//! about packets; what comes out is safe to use in any order. The walk over a block is plain safe code over
//! a byte slice ([`ring::frames_in_block`]), so hostile bytes can be tried on it without a kernel.
//!
//! It knows nothing of interfaces, policies or counting. Failures are `errno`, for the caller to explain.
#![allow(unsafe_code, reason = "the one room that talks to the kernel through shared memory")]

pub mod abi;
pub mod allocator;
pub mod file_writer;
pub mod mapped_file;
pub mod packet_socket;
pub mod poller;
pub mod prefetch;
pub mod ring;
pub mod synthetic;
pub mod waker;
