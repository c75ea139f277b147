//! Reads arbitrary bytes as the answer of a webhook's receiver: it is a delivery or a failure in one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use traffic_alerted::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::webhook_answer(input));
