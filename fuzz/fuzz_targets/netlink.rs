//! Reads arbitrary bytes as a datagram of rtnetlink: what is read makes tables that keep their promises.
#![no_main]

use libfuzzer_sys::fuzz_target;
use traffic_alerted::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::netlink(input));
