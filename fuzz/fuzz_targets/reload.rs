//! Reloads an arbitrary configuration into another: what is in force is valid, and nothing else changes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use traffic_alerted::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::reload(input));
