//! The configuration file, checked.
#![forbid(unsafe_code)]
