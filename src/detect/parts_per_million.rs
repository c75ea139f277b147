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
    /// Returns the share of `part` in `whole`, rounded down, and at most 100%; 0 if both are 0.
    pub fn of(part: u64, whole: u64) -> Self {
        let millionths = u128::from(part) * 1_000_000 / u128::from(whole.max(1));
        Self::of_a_million(u64::try_from(millionths).unwrap_or(u64::MAX))
    }

    /// Returns the share of this many millionths, at most 100%.
    pub fn of_a_million(millionths: u64) -> Self {
        Self(u32::try_from(millionths).map_or(ALL, |millionths| millionths.min(ALL)))
    }
}

const ALL: u32 = 1_000_000;

impl fmt::Display for PartsPerMillion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 10_000, self.0 % 10_000);
        match format!("{part:04}").trim_end_matches('0') {
            "" => write!(f, "{whole}%"),
            places => write!(f, "{whole}.{places}%"),
        }
    }
}
