//! The unsafe room.
#![allow(unsafe_code, reason = "the one room that talks to the kernel through shared memory")]
