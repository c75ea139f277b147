//! The service manager: notifications to it (sd_notify(3)), and which addresses it lets this process reach
//! ([`address_filter`]). Nothing is sent if `NOTIFY_SOCKET` is not set.
#![forbid(unsafe_code)]

pub mod address_filter;

use sd_notify::NotifyState;
use tracing::warn;

/// Reports that packets are counted and the API answers, for the first time or after a reload.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Reports that the configuration is being read again; [`ready`] follows.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        // Type=notify-reload requires the time in addition to the state.
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// Reports that the program has begun to stop.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager at NOTIFY_SOCKET cannot be told");
    }
}
