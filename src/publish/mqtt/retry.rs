//! When the broker is tried again, and what is told of a connection that is gone.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::PublisherState;
use super::client::client_id;
use super::loss::{Cause, Loss};
use crate::publish::MqttOptions;

/// So many connections in a row that broke off early are no accident.
const NO_ACCIDENT: u32 = 3;
/// Their waits double so often at most: on a bad link an alert is not to wait for half a minute while the broker could be reached.
const SHORT_DOUBLES: u32 = 3;

/// Waits double from one failed try to the next, and from one short connection to the next: two boxes with one client id throw
/// each other out of the broker for ever, and a success that lasts a moment is none.
pub(super) struct Retry {
    client_id: String,
    broker: String,
    first: Duration,
    cap: Duration,
    /// How often the wait has doubled.
    doubled: u32,
    /// Connections in a row that did not last.
    short: u32,
    connected_at: Option<Instant>,
}

impl Retry {
    pub fn new(options: &MqttOptions) -> Self {
        Self {
            client_id: client_id(options),
            broker: format!("{}:{}", options.host, options.port),
            first: options.backoff_first,
            cap: options.backoff_cap,
            doubled: 0,
            short: 0,
            connected_at: None,
        }
    }

    pub fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
    }

    /// A connection counts as one when it has lasted longer than any wait: a rival that waits meanwhile may come back after that.
    fn lasts(&self, now: Instant) -> bool {
        let since = self.connected_at.map(|at| now.saturating_duration_since(at));
        since.is_some_and(|lasted| lasted > 2 * self.cap)
    }

    /// Takes back what was told of connections that did not last, once this one has.
    pub fn settle(&mut self, state: &PublisherState, now: Instant) {
        if self.lasts(now) {
            self.short = 0;
            state.set_unsteady(None);
        }
    }

    /// Tells of a connection that could not be made or is gone. Returns how long to wait before the next try.
    pub fn lost(&mut self, loss: Loss, state: &PublisherState, now: Instant) -> Duration {
        self.settle(state, now);
        if self.connected_at.is_some() {
            self.doubled = self.short.min(SHORT_DOUBLES);
            let is_short = !self.lasts(now);
            self.short += u32::from(is_short);
            state.short.fetch_add(u64::from(is_short), Relaxed);
        }
        let was_connected = self.connected_at.take().is_some();
        let doubled = self.first.saturating_mul(1 << self.doubled.min(16));
        self.doubled += 1;
        let wait = doubled.min(self.cap);

        let rival = self.rival(loss.cause, was_connected);
        let is_unsteady = rival.is_some();
        let why = loss.why + &rival.unwrap_or_default();
        tracing::warn!(
            broker = %self.broker,
            "MQTT: {why}; alerts wait in the store; next try in {:.1} s", wait.as_secs_f64()
        );
        state.refused.fetch_add(u64::from(loss.cause == Cause::Login), Relaxed);
        if is_unsteady {
            // It is told while there is a connection too: the next one lasts no longer.
            state.set_unsteady(Some(why.clone()));
        }
        state.set_trouble(Some(why));
        wait
    }

    /// What is said of another client with our id, where one is known of or to be feared.
    fn rival(&self, cause: Cause, was_connected: bool) -> Option<String> {
        const CURE: &str = "give each box a name of its own: box.name (or site.name)";
        let id = &self.client_id;
        match cause {
            Cause::TakenOver => Some(format!(
                "; another client with the client id {id} has connected to it; {CURE}"
            )),
            Cause::Silent if was_connected && self.short >= NO_ACCIDENT => Some(format!(
                " {} times in a row, each time soon after it was made; where another client has the client id {id} as well, \
                 each throws the other out; {CURE}",
                self.short
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::MqttVersion;

    const CAP: Duration = Duration::from_secs(30);

    fn retry() -> Retry {
        Retry::new(&MqttOptions {
            host: "broker".into(),
            port: 1883,
            version: MqttVersion::V5,
            tls: false,
            username: None,
            password: None,
            ca: None,
            cert: None,
            key: None,
            site: "gatehouse".into(),
            box_name: "edge-1".into(),
            home_assistant: false,
            commands: false,
            keep_alive: Duration::from_secs(20),
            backoff_first: Duration::from_millis(500),
            backoff_cap: CAP,
        })
    }

    fn loss(cause: Cause) -> Loss {
        Loss {
            why: "gone".into(),
            cause,
        }
    }

    #[test]
    fn a_connection_that_lasts_a_moment_does_not_reset_the_wait_and_one_that_lasts_does() {
        let (mut retry, state, mut now) = (retry(), PublisherState::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..8 {
            retry.connected(now);
            // As long as the rival waits, at most.
            now += CAP;
            waits.push(retry.lost(loss(Cause::Silent), &state, now).as_secs_f64());
        }
        assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0]);
        assert_eq!(state.short.load(Relaxed), 8);
        retry.connected(now);
        now += 5 * CAP;
        assert_eq!(retry.lost(loss(Cause::Silent), &state, now), Duration::from_millis(500));
        assert_eq!(state.short.load(Relaxed), 8, "that was none");
    }

    #[test]
    fn tries_that_fail_double_the_wait_and_one_short_connection_after_them_is_forgiven() {
        let (mut retry, state, now) = (retry(), PublisherState::default(), Instant::now());
        let waits = [1, 2, 4].map(|_| retry.lost(loss(Cause::Silent), &state, now).as_millis());
        assert_eq!(waits, [500, 1000, 2000]);
        retry.connected(now);
        assert_eq!(retry.lost(loss(Cause::Told), &state, now).as_millis(), 500);
        // The broker stays away.
        assert_eq!(retry.lost(loss(Cause::Silent), &state, now).as_millis(), 1000);
    }

    #[test]
    fn a_rival_is_named_with_the_key_to_change_until_a_connection_has_lasted() {
        let (mut retry, state, now) = (retry(), PublisherState::default(), Instant::now());
        retry.connected(now);
        retry.lost(loss(Cause::TakenOver), &state, now);
        let told = state.trouble().unwrap();
        for part in ["client id watchfire-gatehouse-edge-1", "box.name"] {
            assert!(told.contains(part), "{told}");
        }
        // As the worker does at a connect.
        state.set_trouble(None);
        retry.connected(now);
        retry.settle(&state, now + CAP);
        assert_eq!(state.trouble(), Some(told), "the next connection lasts no longer");
        retry.settle(&state, now + 5 * CAP);
        assert_eq!(state.trouble(), None);
        // Also where the one that was taken over had lasted.
        retry.lost(loss(Cause::TakenOver), &state, now + 6 * CAP);
        state.set_trouble(None);
        assert!(state.trouble().is_some());
        retry.connected(now + 7 * CAP);
        retry.settle(&state, now + 12 * CAP);
        assert_eq!(state.trouble(), None);
    }

    #[test]
    fn where_the_broker_gives_no_reason_a_rival_is_feared_at_the_third_short_connection_only() {
        let (mut retry, state, now) = (retry(), PublisherState::default(), Instant::now());
        let mut told = Vec::new();
        for _ in 0..3 {
            retry.connected(now);
            retry.lost(loss(Cause::Silent), &state, now);
            told.push(state.trouble().unwrap());
        }
        assert_eq!(told[..2], ["gone", "gone"]);
        assert!(
            told[2].contains("3 times in a row") && told[2].contains("box.name"),
            "{}",
            told[2]
        );
        // A broker that is simply not there is no rival's work.
        retry.lost(loss(Cause::Silent), &state, now);
        assert_eq!(state.trouble().unwrap(), "gone");
    }
}
