//! The kinds for numbers, each within a range.

use std::ops::RangeInclusive;

use crate::config::context::Context;
use crate::config::key::SettingKey;
use crate::config::kind::Kind;
use crate::config::units::{self, Amount, Bytes, within};
use crate::config::value_error::ValueError;
use crate::detect::PartsPerMillion;

/// Whole seconds.
pub(in crate::config) struct Seconds(pub(in crate::config) RangeInclusive<u64>);

impl Kind<u64> for Seconds {
    fn form(&self) -> String {
        let (min, max) = (self.0.start(), self.0.end());
        match max / SECONDS_OF_A_DAY {
            0 => format!("whole seconds from {min} to {max}, without a unit"),
            days => format!("whole seconds from {min} to {max} ({days} days), without a unit"),
        }
    }

    fn read(&self, text: &str, _: &Context) -> Result<u64, ValueError> {
        let seconds = units::whole(text).and_then(|number| within(number, &self.0));
        seconds.map_err(|error| ValueError::write(error, self.form()))
    }

    fn print(&self, value: &u64) -> String {
        value.to_string()
    }
}

/// Bytes, which may be written with K, M or G.
pub(in crate::config) struct ByteCount(pub(in crate::config) RangeInclusive<u64>);

impl Kind<u64> for ByteCount {
    fn form(&self) -> String {
        let (min, max) = (Bytes(*self.0.start()), Bytes(*self.0.end()));
        format!("bytes from {min} to {max}; K, M and G are powers of 1000")
    }

    fn read(&self, text: &str, _: &Context) -> Result<u64, ValueError> {
        let bytes = units::bytes(text).and_then(|number| within(number, &self.0));
        bytes.map_err(|error| ValueError::write(error, self.form()))
    }

    fn print(&self, value: &u64) -> String {
        Bytes(*value).to_string()
    }
}

/// A whole number.
pub(in crate::config) struct Whole(pub(in crate::config) RangeInclusive<u32>);

impl Kind<u32> for Whole {
    fn form(&self) -> String {
        format!("a whole number from {} to {}", self.0.start(), self.0.end())
    }

    fn read(&self, text: &str, _: &Context) -> Result<u32, ValueError> {
        let number = units::whole(text).and_then(|number| within(number, &self.0));
        number.map_err(|error| ValueError::write(error, self.form()))
    }

    fn print(&self, value: &u32) -> String {
        value.to_string()
    }
}

/// A limit that another setting turns on and off.
pub(in crate::config) struct Count {
    pub(in crate::config) range: RangeInclusive<u32>,
    /// The setting that turns the limit on (`true`) or off (`false`).
    pub(in crate::config) switch: SettingKey,
}

impl Kind<u32> for Count {
    fn form(&self) -> String {
        let (min, max) = (self.range.start(), self.range.end());
        format!("a whole number from {min} to {max}; `{}: false` turns this check off", self.switch)
    }

    fn read(&self, text: &str, _: &Context) -> Result<u32, ValueError> {
        let number = units::whole(text).and_then(|number| within(number, &self.range));
        number.map_err(|error| ValueError::write(error, self.form()))
    }

    fn print(&self, value: &u32) -> String {
        value.to_string()
    }
}

/// A number of packets or contacts per second, which may be written with K, M or G.
pub(in crate::config) struct PerSecond(pub(in crate::config) RangeInclusive<u32>);

impl Kind<u32> for PerSecond {
    fn form(&self) -> String {
        let (min, max) = (Amount(u64::from(*self.0.start())), Amount(u64::from(*self.0.end())));
        format!("a number from {min} to {max}; K, M and G are powers of 1000")
    }

    fn read(&self, text: &str, _: &Context) -> Result<u32, ValueError> {
        let number = units::amount(text).and_then(|number| within(number, &self.0));
        number.map_err(|error| ValueError::write(error, self.form()))
    }

    fn print(&self, value: &u32) -> String {
        Amount(u64::from(*value)).to_string()
    }
}

/// A prefix length.
pub(in crate::config) struct PrefixLength(pub(in crate::config) RangeInclusive<u8>);

impl Kind<u8> for PrefixLength {
    fn form(&self) -> String {
        format!("a prefix length from {} to {}", self.0.start(), self.0.end())
    }

    fn read(&self, text: &str, _: &Context) -> Result<u8, ValueError> {
        let length = units::whole(text).and_then(|number| within(number, &self.0));
        length.map_err(|error| ValueError::write(error, self.form()))
    }

    fn print(&self, value: &u8) -> String {
        value.to_string()
    }
}

/// A percentage, which is held in parts per million, or `off`.
pub(in crate::config) struct PercentageOrOff(pub(in crate::config) RangeInclusive<u32>);

impl Kind<Option<u32>> for PercentageOrOff {
    fn form(&self) -> String {
        let (min, max) = (PartsPerMillion(*self.0.start()), PartsPerMillion(*self.0.end()));
        format!("`off`, or a percentage from {min} to {max} such as 0.1%")
    }

    fn read(&self, text: &str, _: &Context) -> Result<Option<u32>, ValueError> {
        if text == OFF {
            return Ok(None);
        }
        let millionths = units::percent(text).and_then(|millionths| within(millionths, &self.0));
        millionths.map(Some).map_err(|error| ValueError::write(error, self.form()))
    }

    fn print(&self, value: &Option<u32>) -> String {
        value.map_or_else(|| OFF.to_owned(), |millionths| PartsPerMillion(millionths).to_string())
    }
}

/// A value of another kind, or `off`.
pub(in crate::config) struct OrOff<K>(pub(in crate::config) K);

impl<T, K: Kind<T>> Kind<Option<T>> for OrOff<K> {
    fn form(&self) -> String {
        format!("{}; or `{OFF}`", self.0.form())
    }

    fn read(&self, text: &str, context: &Context) -> Result<Option<T>, ValueError> {
        if text == OFF {
            return Ok(None);
        }
        let value = self.0.read(text, context);
        value.map(Some).map_err(|error| ValueError { help: format!("{}; or `{OFF}`", error.help), ..error })
    }

    fn print(&self, value: &Option<T>) -> String {
        value.as_ref().map_or_else(|| OFF.to_owned(), |value| self.0.print(value))
    }
}

/// The value of a limit that does not apply.
const OFF: &str = "off";

const SECONDS_OF_A_DAY: u64 = 24 * 3600;
