//! Reads arbitrary bytes as rows of the state: what is accepted is stored again as the same and can be said.
#![no_main]

use libfuzzer_sys::fuzz_target;
use traffic_alerted::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::state_rows(input));
