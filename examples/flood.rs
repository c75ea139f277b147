//! Writes a capture to standard output that contains a flood from spoofed sources and the traffic of some real hosts.
//!
//! ```text
//! cargo run --release --example flood -- cycled | TrafficAlerted replay --json - -
//! cargo run --release --example flood -- random 3000000 | ...
//! ```
//!
//! `cycled` uses 10 M sources in turn, `random` draws each source from 2^32. The flood lasts 187 s and has 1.5 M
//! packets per second, or as many as the second argument says. The real hosts send from the 17th second on: 10.0.0.1
//! sends 20 MB per second; within 153 s, each of 20 scanners in 10.1.0.0/24 makes 40 contacts, and each of 100 scanners
//! in 10.2.0.0/24 makes 20.

use std::io::{self, BufWriter};
use std::process::ExitCode;

#[path = "../tests/packets/capture_file.rs"]
#[allow(dead_code, reason = "this program uses only a part of it")]
mod capture_file;
#[path = "../tests/packets/flood.rs"]
#[allow(dead_code, reason = "this program uses only a part of it")]
mod flood;

use flood::{Flood, Sources};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let sources = match words.first().map(String::as_str) {
        Some("cycled") => Some(Sources::Cycled(10_000_000)),
        Some("random") => Some(Sources::Random),
        _ => None,
    };
    let packets_per_s = words.get(1).map_or(Ok(1.5e6), |word| word.parse());
    let (Some(sources), Ok(packets_per_s)) = (sources, packets_per_s) else {
        eprintln!("usage: flood cycled|random [PACKETS_PER_SECOND]");
        return ExitCode::from(2);
    };
    let flood = Flood {
        sources,
        packets_per_s,
        interval_s: 170.0,
        heavy_bytes_per_s: 20e6,
        scanners: [(20, 40), (100, 20)],
        seed: 7,
    };
    match flood.write_pcap(&mut BufWriter::with_capacity(1 << 20, io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flood: {error}");
            ExitCode::FAILURE
        }
    }
}
