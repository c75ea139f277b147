//! Reads arbitrary bytes as the answer of a name server: a name in it can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use traffic_alerted::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::dns_answer(input));
