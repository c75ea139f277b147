//! Starts with an arbitrary file in place of the database: it is used or set aside, and rows are kept afterwards.
#![no_main]

use libfuzzer_sys::fuzz_target;
use traffic_alerted::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::state_database(input));
