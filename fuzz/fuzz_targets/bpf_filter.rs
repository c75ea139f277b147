//! Runs the filter of an arbitrary table on an arbitrary frame: no frame is dropped that the table needs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use traffic_alerted::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::bpf_filter(input));
