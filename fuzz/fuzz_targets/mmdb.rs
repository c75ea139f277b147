//! Looks addresses up in arbitrary bytes as a database of GeoIP: what is found has the promised form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use traffic_alerted::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::mmdb(input));
