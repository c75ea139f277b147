//! What the fuzz targets run: a function for each target, which takes any bytes and panics if a promise is broken.
//!
//! Each function is in the room whose private items it needs, in a file `fuzzing.rs`. This file lists them, so that
//! `fuzz/fuzz_targets/` and the tests here need one path. All of it exists in tests and for the fuzzer only
//! (`cfg(fuzzing)`, which `cargo fuzz` sets).
//!
//! The test here runs each function over the seeds of its target and over some damaged copies of each, so that the
//! targets are checked without a nightly compiler.
#![forbid(unsafe_code)]

pub use crate::alert::fuzzing::{state_rows, syslog_answer, webhook_answer};
pub use crate::api::fuzzing::http;
pub use crate::capture::fuzzing::{bpf_filter, netlink};
pub use crate::config::fuzzing::{config, reload};
pub use crate::enrich::fuzzing::{dns_answer, mmdb};
pub use crate::store::fuzzing::state_database;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Damaged copies of each seed that are run.
    const COPIES: u64 = 24;

    /// The copies come from a fixed sequence of numbers, so every run tests the same inputs. `FUZZ_COPIES` in the
    /// environment replaces their number.
    fn over_seeds(target: &str, run: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry of the folder").path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{target} has no seed");
        let copies = std::env::var("FUZZ_COPIES").ok().and_then(|text| text.parse().ok()).unwrap_or(COPIES);
        let mut numbers = Numbers(1);
        for path in paths {
            let seed = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let show = ShownOnPanic(&path, None);
            run(&seed);
            drop(show);
            for _ in 0..copies {
                let damaged = numbers.damaged(&seed);
                let show = ShownOnPanic(&path, Some(&damaged));
                run(&damaged);
                drop(show);
            }
        }
    }

    /// Says which input was run if the run panics.
    struct ShownOnPanic<'a>(&'a Path, Option<&'a [u8]>);

    impl Drop for ShownOnPanic<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let damaged = self.1.map(|bytes| format!(", damaged: {}", bytes.escape_ascii()));
                eprintln!("the input was {}{}", self.0.display(), damaged.unwrap_or_default());
            }
        }
    }

    /// A sequence of numbers (xorshift64).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % end.max(1) as u64) as usize
        }

        /// Returns a copy with one to four changes: a byte set, a bit flipped, a part cut, repeated or moved.
        fn damaged(&mut self, seed: &[u8]) -> Vec<u8> {
            let mut bytes = seed.to_vec();
            for _ in 0..=self.below(4) {
                let at = self.below(bytes.len());
                let to = (at + 1 + self.below(16)).min(bytes.len());
                match (self.below(6), bytes.get_mut(at)) {
                    (0, Some(byte)) => *byte = [0, 1, 0x7f, 0x80, 0xff, b'"'][self.below(6)],
                    (1, Some(byte)) => *byte ^= 1 << self.below(8),
                    (2, Some(_)) => drop(bytes.drain(at..to)),
                    (3, Some(_)) => {
                        let part = bytes[at..to].to_vec();
                        let into = self.below(bytes.len());
                        bytes.splice(into..into, part);
                    }
                    (4, Some(byte)) => *byte = self.below(256) as u8,
                    _ => bytes.truncate(at),
                }
            }
            bytes
        }
    }

    macro_rules! targets {
        ($($name:ident)*) => {
            $(#[test]
            fn $name() {
                over_seeds(stringify!($name), super::$name);
            })*

            #[test]
            fn each_target_has_a_program() {
                for name in [$(stringify!($name)),*] {
                    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/fuzz_targets/{name}.rs"));
                    let text = fs::read_to_string(&path).unwrap_or_default();
                    assert!(text.contains(&format!("fuzzing::{name}(")), "{} does not run it", path.display());
                }
            }
        };
    }

    targets! { bpf_filter config dns_answer http mmdb netlink reload state_database state_rows syslog_answer webhook_answer }
}
