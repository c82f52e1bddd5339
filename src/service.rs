//! systemd: ready, reloading, stopping, and the watchdog, which is fed from the stages' heartbeat and not from a timer.

use std::time::Duration;

use sd_notify::NotifyState;

/// What systemd is told. Outside systemd all of this does nothing.
pub struct Service {
    watchdog: Option<Duration>,
}

impl Service {
    pub fn new() -> Self {
        Self {
            watchdog: sd_notify::watchdog_enabled(),
        }
    }

    pub fn ready(&self) {
        tell(&[NotifyState::Ready, NotifyState::Status("running")]);
    }

    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// All stages have beaten lately: the watchdog may wait for its whole time again.
    pub fn alive(&self) {
        if self.watchdog.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

impl Default for Service {
    fn default() -> Self {
        Self::new()
    }
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
