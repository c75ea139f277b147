//! One message about an alert to the sinks.

use super::record::{Alert, AlertState};

/// One message about an alert to the sinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The alert opened, for the first time or again.
    Opened(Alert),
    /// The alert was notified as possible and is certain now.
    Confirmed(Alert),
    /// The value reached this multiple of the limit for the first time since the alert opened.
    Grown(Alert, u64),
    /// The alert closed.
    Closed(Alert),
    /// A sample that the operator requested, to test whether alerts arrive.
    Test(Alert),
}

/// Returns the alert of a notice, or a reference to it if the notice is one.
macro_rules! alert_of {
    ($notice:expr) => {
        match $notice {
            Notice::Opened(alert)
            | Notice::Confirmed(alert)
            | Notice::Grown(alert, _)
            | Notice::Closed(alert)
            | Notice::Test(alert) => alert,
        }
    };
}

impl Notice {
    /// Returns the alert as it was when the notice was made.
    pub fn alert(&self) -> &Alert {
        alert_of!(self)
    }

    /// Removes the addresses of the peers of its alert.
    pub(super) fn hide_destinations(&mut self) {
        alert_of!(self).hide_destinations();
    }

    /// Converts the notice into its alert.
    pub fn into_alert(self) -> Alert {
        alert_of!(self)
    }

    /// Returns the word for what happened to the alert.
    pub(crate) fn step(&self) -> &'static str {
        match self {
            Self::Opened(_) => "opened",
            Self::Confirmed(_) => "confirmed",
            Self::Grown(..) => "grown",
            Self::Closed(_) => "closed",
            Self::Test(_) => "test",
        }
    }

    /// Returns the state of the alert at the time of the notice.
    pub fn state(&self) -> AlertState {
        match self {
            Self::Opened(alert) | Self::Confirmed(alert) | Self::Grown(alert, _) => AlertState::of(alert),
            Self::Closed(_) => AlertState::Closed,
            Self::Test(_) => AlertState::Test,
        }
    }
}
