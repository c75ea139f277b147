//! Parses arbitrary bytes as a configuration file: the result is a configuration that reads back the same, or a report.
#![no_main]

use libfuzzer_sys::fuzz_target;
use traffic_alerted::fuzzing;

fuzz_target!(|file: &[u8]| fuzzing::config(file));
