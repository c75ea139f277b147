//! Amounts as people read them: bytes, counts and durations, in at most three significant digits.
//!
//! Units are decimal, as in the configuration: K, M, G and T are powers of 1000. Digits that are not shown are cut off,
//! so a displayed amount is never larger than the amount itself. An upper bound is rounded up instead ([`rounded_up`]).
//! The page of the dashboard shows amounts by the same rules (`words.ts`).
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

/// A number of bytes; displayed as `999 B`, `1.2 GB`.
///
/// ```
/// use traffic_alerted::human::HumanBytes;
/// assert_eq!(HumanBytes(1_200_000_123).to_string(), "1.2 GB");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanBytes(pub u64);

/// A number of things; displayed in full below 10,000, else as `12.3K`, `5M`.
///
/// ```
/// use traffic_alerted::human::HumanCount;
/// assert_eq!([HumanCount(253), HumanCount(12_345)].map(|count| count.to_string()), ["253", "12.3K"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanCount(pub u64);

/// A rate in bits per second; displayed as `950 Mbit/s`.
///
/// ```
/// use traffic_alerted::human::HumanBitRate;
/// assert_eq!(HumanBitRate(56_400_000).to_string(), "56.4 Mbit/s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanBitRate(pub u64);

/// A duration; displayed in its two largest units: `3 min 32 s`, `2 h 5 min`, `3 d`. Below three minutes it is in
/// seconds, since windows are configured in seconds: `170 s`, `2.5 s`, `250 ms`.
///
/// ```
/// use std::time::Duration;
/// use traffic_alerted::human::HumanDuration;
/// assert_eq!(HumanDuration(Duration::from_secs(212)).to_string(), "3 min 32 s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

impl fmt::Display for HumanBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, prefix) = scaled(self.0);
        write!(f, "{number} {}B", if prefix == "K" { "k" } else { prefix })
    }
}

impl HumanCount {
    /// Returns the count rounded up to what is displayed, for an upper bound.
    #[must_use]
    pub fn rounded_up(self) -> Self {
        if self.0 < COUNT_ABBREVIATED_MIN { self } else { Self(rounded_up(self.0)) }
    }
}

impl fmt::Display for HumanCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < COUNT_ABBREVIATED_MIN {
            return write!(f, "{}", self.0);
        }
        let (number, prefix) = scaled(self.0);
        write!(f, "{number}{prefix}")
    }
}

impl fmt::Display for HumanBitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, prefix) = scaled(self.0);
        write!(f, "{number} {}bit/s", if prefix == "K" { "k" } else { prefix })
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.0.as_secs(), self.0.subsec_millis());
        if seconds == 0 && ms > 0 {
            return write!(f, "{ms} ms");
        }
        if seconds < IN_SECONDS_BELOW {
            let tenths = ms / 100;
            return if seconds < 10 && tenths > 0 {
                write!(f, "{seconds}.{tenths} s")
            } else {
                write!(f, "{seconds} s")
            };
        }
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        let [(large, large_unit), (small, small_unit)] = match (hours, days) {
            (0, _) => [(minutes, "min"), (seconds % 60, "s")],
            (_, 0) => [(hours, "h"), (minutes % 60, "min")],
            _ => [(days, "d"), (hours % 24, "h")],
        };
        write!(f, "{large} {large_unit}")?;
        if small > 0 { write!(f, " {small} {small_unit}") } else { Ok(()) }
    }
}

/// The first count that is abbreviated. Below it, every host and port counts.
const COUNT_ABBREVIATED_MIN: u64 = 10_000;

/// Durations below this number of seconds are displayed in seconds.
const IN_SECONDS_BELOW: u64 = 180;

/// Returns the smallest amount that is not below this one and is displayed without a loss of digits: for upper bounds.
///
/// ```
/// use traffic_alerted::human::{HumanBytes, rounded_up};
/// assert_eq!(HumanBytes(rounded_up(1_200_000_123)).to_string(), "1.21 GB");
/// ```
pub fn rounded_up(amount: u64) -> u64 {
    let mut step = 1;
    while amount / step >= 1000 {
        step *= 10;
    }
    amount.div_ceil(step).saturating_mul(step)
}

/// Returns the first three significant digits of a number below 1000, without zeros at their end, and the prefix that
/// scales it.
fn scaled(amount: u64) -> (String, &'static str) {
    let mut unit = 1;
    let mut prefixes = ["", "K", "M", "G", "T", "P", "E"].into_iter().peekable();
    while amount / unit >= 1000 && prefixes.len() > 1 {
        unit *= 1000;
        prefixes.next();
    }
    let whole = amount / unit;
    let places = if unit == 1 { 0 } else { 3_usize.saturating_sub(whole.to_string().len()) };
    let thousandths = amount % unit / (unit / 1000).max(1);
    let digits = format!("{thousandths:03}");
    let shown = digits[..places].trim_end_matches('0');
    let number = if shown.is_empty() { whole.to_string() } else { format!("{whole}.{shown}") };
    (number, prefixes.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_counts_and_rates_have_three_digits_and_a_decimal_unit() {
        let cases = [
            (0, "0 B", "0", "0 bit/s"),
            (999, "999 B", "999", "999 bit/s"),
            (1000, "1 kB", "1000", "1 kbit/s"),
            (1009, "1 kB", "1009", "1 kbit/s"),
            (1010, "1.01 kB", "1010", "1.01 kbit/s"),
            (9_999, "9.99 kB", "9999", "9.99 kbit/s"),
            (10_000, "10 kB", "10K", "10 kbit/s"),
            (23_644, "23.6 kB", "23.6K", "23.6 kbit/s"),
            (999_999, "999 kB", "999K", "999 kbit/s"),
            (1_000_000, "1 MB", "1M", "1 Mbit/s"),
            (1_200_000_123, "1.2 GB", "1.2G", "1.2 Gbit/s"),
            (20_000_000_000, "20 GB", "20G", "20 Gbit/s"),
            (5_004_000_000_000, "5 TB", "5T", "5 Tbit/s"),
            (u64::MAX, "18.4 EB", "18.4E", "18.4 Ebit/s"),
        ];
        for (amount, bytes, count, rate) in cases {
            assert_eq!(HumanBytes(amount).to_string(), bytes);
            assert_eq!(HumanCount(amount).to_string(), count);
            assert_eq!(HumanBitRate(amount).to_string(), rate);
        }
    }

    /// The tests of the dashboard read the same table.
    #[test]
    fn amounts_are_displayed_as_on_the_page() {
        let table: serde_json::Value =
            serde_json::from_str(include_str!("api/dashboard/test/amounts.json")).expect("it is JSON");
        let rows = |name: &str| table[name].as_array().cloned().expect("a list");
        for row in rows("bytes") {
            let bytes = row["bytes"].as_u64().expect("a number");
            assert_eq!(HumanBytes(bytes).to_string(), row["shown"], "{bytes}");
            assert_eq!(HumanBytes(rounded_up(bytes)).to_string(), row["upper"], "{bytes}");
        }
        for row in rows("durations") {
            let seconds = row["seconds"].as_u64().expect("a number");
            assert_eq!(HumanDuration(Duration::from_secs(seconds)).to_string(), row["shown"], "{seconds}");
        }
        assert_eq!(rounded_up(u64::MAX), u64::MAX);
    }

    #[test]
    fn durations_have_their_two_largest_units() {
        let cases = [
            (0, "0 s"),
            (250, "250 ms"),
            (1_000, "1 s"),
            (2_590, "2.5 s"),
            (9_000, "9 s"),
            (12_900, "12 s"),
            (170_000, "170 s"),
            (179_999, "179 s"),
            (180_000, "3 min"),
            (212_000, "3 min 32 s"),
            (600_000, "10 min"),
            (3_600_000, "1 h"),
            (7_530_000, "2 h 5 min"),
            (86_400_000, "1 d"),
            (30 * 86_400_000 + 3_600_000, "30 d 1 h"),
        ];
        for (ms, expected) in cases {
            assert_eq!(HumanDuration(Duration::from_millis(ms)).to_string(), expected);
        }
    }
}
