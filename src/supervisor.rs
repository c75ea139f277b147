//! What systemd is told of the program's life (sd_notify(3)). Without a service manager that wants to hear,
//! nothing is said.
#![forbid(unsafe_code)]

use sd_notify::NotifyState;
use tracing::warn;

/// Packets are counted and the API answers, for the first time or after a reload.
pub fn ready() {
    say(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`ready`] follows.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        // systemd pairs the two by this time.
        Ok(now) => say(&[NotifyState::Reloading, now]),
        Err(_) => say(&[NotifyState::Reloading]),
    }
}

/// The program has begun to end.
pub fn stopping() {
    say(&[NotifyState::Stopping]);
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager at NOTIFY_SOCKET cannot be told");
    }
}
