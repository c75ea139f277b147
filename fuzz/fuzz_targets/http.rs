//! Serves arbitrary bytes of a client: each request gets a whole answer, none is a 500, and mutes are valid.
#![no_main]

use libfuzzer_sys::fuzz_target;
use traffic_alerted::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::http(input));
