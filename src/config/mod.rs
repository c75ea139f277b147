//! Parses and checks the configuration file, once, into a type that cannot hold invalid values.
//!
//! Owns the format (the original's: `Key: value`, `#` comments, K/M/G, quoted lists), the defaults and the ranges.
//! It does not contain what a setting does: it makes the options of each floor and passes them on. No floor below
//! imports this module, so the floors can be used without a file.
//!
//! A setting is one row of the table in `settings.rs`. Everything that concerns all settings is derived from the table:
//!
//! ```text
//! bytes --file--> RawConfig (lines) --reader, check--> Settings in Config --options--> capture, flow, ...
//!                     \------- Problems -------/              \--print--> a file that parses to the same
//!
//! settings.rs --> key.rs     names, groups, what takes a restart
//!             \-> values.rs  fields, defaults, kinds: reading, printing, reload
//!             \-> reference  docs/configuration.md
//! ```
//!
//! The checks of settings against each other are in `context.rs`.
//!
//! Intervals are whole seconds, sizes are bytes, K, M and G are powers of 1000. Every key may be left out.
//! A file with any problem is refused as a whole, and all of its problems are reported ([`ConfigError`]): unknown keys,
//! keys that are set twice, values that cannot be read or are out of range, text that is not UTF-8. A file of more than
//! 65536 bytes is refused unread. Two settings are checked
//! for the machine that reads the file: `PinCores` against the affinity mask, and `RingMemory` against the number of
//! workers that `auto` gives there.
#![forbid(unsafe_code)]

mod addresses;
mod cgroup;
mod characters;
mod check;
mod checked;
mod config_file;
mod context;
mod error;
mod exposed_secrets;
mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod grants;
mod key;
mod keyword;
mod kind;
mod kinds;
mod limit_for;
mod machine;
mod missing_files;
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
mod users;
mod value_error;
mod values;

pub use checked::Config;
pub use config_file::ConfigFile;
pub use config_file::warnings::Warnings;
pub use error::ConfigError;
pub use missing_files::Viewer;
pub use problem::Problems;
