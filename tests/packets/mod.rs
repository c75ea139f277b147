//! One set of packets and capture files, built by code, for tests, benches and the seeds of the fuzzers, and a
//! reference for how a frame decodes.
#![allow(dead_code, reason = "each crate that includes this module uses a part of it")]

pub(crate) mod build;
pub(crate) mod capture_file;
pub(crate) mod catalogue;
pub(crate) mod flood;
pub(crate) mod reference;
pub(crate) mod seed;
