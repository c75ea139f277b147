//! Parses arbitrary bytes as a configuration file: the result is a configuration that reads back the same, or a report.

#![no_main]

use libfuzzer_sys::fuzz_target;
use traffic_alerted::config::Config;

fuzz_target!(|file: &[u8]| {
    match Config::parse("fuzz.conf", file) {
        Ok(config) => {
            let again = Config::parse("again.conf", config.to_string());
            assert_eq!(again.unwrap_or_else(|error| panic!("what is in force is refused:\n{error}")), config);
        }
        Err(error) => assert!(error.render(false).starts_with("error: "), "a report begins with `error: `"),
    }
});
