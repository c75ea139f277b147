//! The configuration file, checked once into a type without bad values.
//!
//! Owns the format (the original's: `Key: value`, `#` comments, K/M/G, quoted lists), the defaults and the ranges.
//! Does not know what a setting does: it makes the options of each floor and passes them on. Nothing below imports
//! this module, so floors can be used without a file.
//!
//! A setting is one row of the table in `settings.rs`. Everything that is done with all settings reads the table:
//!
//! ```text
//! bytes --file--> RawConfig (lines) --reader, check--> Settings in Config --options--> capture, flow, ...
//!                     \------- Problems -------/              \--print--> a file that reads back the same
//!
//! settings.rs --> key.rs     names, groups, what takes a restart
//!             \-> values.rs  fields, defaults, kinds: reading, printing, reload
//!             \-> reference  docs/configuration.md, TrafficAlerted.conf
//! ```
//!
//! What settings have to do with each other is in `context.rs`.
//!
//! Intervals are whole seconds, sizes are bytes, K, M and G are powers of 1000. Every key may be left out.
//! A file fails as a whole and with all of its problems ([`ConfigError`]): unknown or doubled keys, values
//! that cannot be read or are out of range, text that is not UTF-8, more than 65536 bytes. Two settings are checked
//! for the machine that reads the file: `PinCores` against the affinity mask, and `RingMemory` against the number of
//! workers that `auto` gives there.
#![forbid(unsafe_code)]

mod check;
mod checked;
mod context;
mod error;
mod file;
mod key;
mod keyword;
mod kind;
mod kinds;
mod limit_for;
mod machine;
mod options;
mod print;
mod problem;
mod ranges;
mod reader;
#[cfg(test)]
mod reference;
mod reload;
mod settings;
mod units;
mod value_error;
mod values;

pub use checked::Config;
pub use error::ConfigError;
pub use problem::Problems;
