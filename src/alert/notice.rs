//! One message about an alert to the sinks.

use super::record::{Alert, AlertState};

/// What is to be said of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It opened, for the first time or again.
    Opened(Alert),
    /// It was possible and is certain now.
    Confirmed(Alert),
    /// It has reached this many times its limit.
    Grown(Alert, u64),
    /// It closed.
    Closed(Alert),
    /// It is about nobody: the operator asked whether alerts arrive.
    Test(Alert),
}

impl Notice {
    /// The alert, as it is at this point of its life.
    pub fn alert(&self) -> &Alert {
        match self {
            Self::Opened(alert)
            | Self::Confirmed(alert)
            | Self::Grown(alert, _)
            | Self::Closed(alert)
            | Self::Test(alert) => alert,
        }
    }

    /// The alert alone.
    pub fn into_alert(self) -> Alert {
        match self {
            Self::Opened(alert)
            | Self::Confirmed(alert)
            | Self::Grown(alert, _)
            | Self::Closed(alert)
            | Self::Test(alert) => alert,
        }
    }

    /// Where in its life it is.
    pub fn state(&self) -> AlertState {
        match self {
            Self::Opened(alert) | Self::Confirmed(alert) | Self::Grown(alert, _) => AlertState::of(alert),
            Self::Closed(_) => AlertState::Closed,
            Self::Test(_) => AlertState::Test,
        }
    }
}
