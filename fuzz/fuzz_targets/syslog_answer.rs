//! Lets a collector of syslog send arbitrary bytes: a closed connection is found closed, an open one open.
#![no_main]

use libfuzzer_sys::fuzz_target;
use traffic_alerted::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::syslog_answer(input));
