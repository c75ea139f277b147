//! Shares in millionths.

use std::fmt;

/// A share in millionths; displayed as a percentage.
///
/// ```
/// use traffic_alerted::detect::PartsPerMillion;
/// assert_eq!(PartsPerMillion(1_000).to_string(), "0.1%");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartsPerMillion(pub u32);

impl PartsPerMillion {
    /// The share of `part` in `whole`, rounded down; all of it where there is no less.
    pub fn of(part: u64, whole: u64) -> Self {
        match u128::from(part) * 1_000_000 / u128::from(whole.max(1)) {
            millionths @ 0..1_000_000 => Self(millionths as u32),
            _ => Self(1_000_000),
        }
    }

    /// The share of so many of a million; all of it where there are more.
    pub fn of_a_million(millionths: u64) -> Self {
        Self(millionths.min(1_000_000) as u32)
    }
}

impl fmt::Display for PartsPerMillion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 10_000, self.0 % 10_000);
        match format!("{part:04}").trim_end_matches('0') {
            "" => write!(f, "{whole}%"),
            places => write!(f, "{whole}.{places}%"),
        }
    }
}
