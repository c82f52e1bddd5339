//! The loop: one connection after another, the outbox in order, the retained truth at every connect.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rumqttc::TlsConfiguration;
use tokio::sync::mpsc::UnboundedReceiver;

use super::client::{Client, Happened, Outward};
use super::fit::{fits, is_topic, slimmed};
use super::loss::Loss;
use super::online::Online;
use super::outbox::{Cursor, Kept};
use super::remembered::Remembered;
use super::retry::Retry;
use super::subscriptions;
use super::truth::Truth;
use super::under_way::{About, UnderWay};
use super::{Command, PublisherState};
use crate::publish::orders::{Order, order};
use crate::publish::{MqttOptions, Topics, home_assistant};
use crate::store::{HURRY, Store, StoreError, Waiting};

/// Messages that are on their way to the broker at once.
const IN_FLIGHT: usize = 16;
const REFUSES: &str = "the broker refuses alerts";
/// An alert sent so late says so.
const LATE_MS: i64 = 2_000;

pub(super) struct Worker {
    options: MqttOptions,
    topics: Topics,
    tls: Option<TlsConfiguration>,
    store: Store,
    commands: UnboundedReceiver<Command>,
    ordered: crossbeam_channel::Sender<Order>,
    state: Arc<PublisherState>,
    truth: Truth,
    remembered: Remembered,
    online: Online,
    retry: Retry,
    outbox: Cursor,
    kept: Kept,
    under_way: UnderWay,
    /// The largest packet that this broker takes.
    max_bytes: Option<usize>,
    /// So often at least something comes from the broker.
    keep_alive: Duration,
}

/// Why a connection is over.
enum Over {
    Stopped,
    Lost(Loss),
}

impl Worker {
    pub fn new(
        options: MqttOptions,
        tls: Option<TlsConfiguration>,
        store: Store,
        commands: UnboundedReceiver<Command>,
        ordered: crossbeam_channel::Sender<Order>,
        state: Arc<PublisherState>,
    ) -> Self {
        warn(store.wait_for_locks(HURRY));
        Self {
            topics: Topics::new(&options.site, &options.box_name),
            keep_alive: options.keep_alive,
            retry: Retry::new(&options),
            remembered: Remembered::of(&store),
            options,
            tls,
            store,
            commands,
            ordered,
            state,
            truth: Truth::default(),
            online: Online::default(),
            outbox: Cursor::default(),
            kept: Kept::default(),
            under_way: UnderWay::default(),
            max_bytes: None,
        }
    }

    /// Until told to stop.
    pub async fn run(mut self) {
        loop {
            let over = self.connection().await;
            self.state.connected.store(false, Relaxed);
            let Over::Lost(loss) = over else { return };
            let wait = self.retry.lost(loss, &self.state, Instant::now());
            if self.waits_for_stop(wait).await {
                return;
            }
        }
    }

    /// Takes commands while there is no connection. True when told to stop.
    async fn waits_for_stop(&mut self, wait: Duration) -> bool {
        let until = tokio::time::Instant::now() + wait;
        loop {
            match tokio::time::timeout_at(until, self.commands.recv()).await {
                Err(_) => return false,
                Ok(None | Some(Command::Stop(_))) => return true,
                Ok(Some(Command::Retain(topic, payload))) => self.note(topic, payload),
                Ok(Some(Command::AllTold)) => self.online.ready(Instant::now()),
                // What is not kept is not sent late either; what is stored waits there.
                Ok(Some(Command::Send(_) | Command::Wake)) => {}
            }
        }
    }

    /// Remembers a topic's truth, to be told as soon as the connection lets it.
    fn note(&mut self, topic: String, payload: Vec<u8>) {
        // Such as a camera's whose id is wrong: no connection would last, and what comes after it would wait for ever.
        if !is_topic(&topic) {
            if !payload.is_empty() {
                tracing::error!("MQTT: {topic:?} is no topic that a broker takes, and is not told");
            }
            // An older version may have remembered it, to be cleared one day.
            warn(self.remembered.forget(&self.store, &topic));
            return;
        }
        if !payload.is_empty() {
            warn(self.remembered.add(&self.store, &topic));
        }
        self.truth.note(topic, payload);
    }

    async fn connection(&mut self) -> Over {
        (self.outbox, self.under_way) = Default::default();
        self.truth.tell_all();
        let mut client = Client::connect(&self.options, self.tls.clone(), self.topics.available());
        let mut stop_at: Option<Instant> = None;
        let mut offline_sent = false;
        // rumqttc's loop for MQTT 5 does not see its own keep-alive while a write waits for the broker.
        let mut heard_at = Instant::now();
        let mut poll_outbox = tokio::time::interval(Duration::from_secs(1));
        loop {
            if let Some(at) = stop_at {
                let done = self.idle() || Instant::now() >= at;
                if done && !offline_sent {
                    offline_sent = true;
                    self.online.over();
                    self.tell(&client, self.topics.available(), b"offline".to_vec());
                    stop_at = Some(Instant::now() + Duration::from_millis(500));
                } else if done {
                    client.disconnect();
                    let goodbye = async { while !matches!(client.next().await, Happened::Lost(_)) {} };
                    let _ = tokio::time::timeout(Duration::from_millis(200), goodbye).await;
                    return Over::Stopped;
                }
            }
            tokio::select! {
                happened = client.next() => match happened {
                    Happened::Lost(loss) if stop_at.is_some() => {
                        tracing::warn!("MQTT: {} while stopping; what waits goes out after the next start", loss.why);
                        return Over::Stopped;
                    }
                    Happened::Lost(loss) => return Over::Lost(loss),
                    happened => {
                        heard_at = Instant::now();
                        self.on(&client, happened);
                    }
                },
                command = self.commands.recv() => match command {
                    None => stop_at = Some(Instant::now()),
                    Some(Command::Stop(deadline)) => stop_at = Some(Instant::now() + deadline),
                    Some(Command::Wake) => self.fill(&client),
                    Some(Command::Send(message)) if self.state.connected.load(Relaxed) => self.pass(&client, message),
                    Some(Command::Send(_)) => {}
                    Some(Command::Retain(topic, payload)) => {
                        self.note(topic, payload);
                        self.fill(&client);
                    }
                    Some(Command::AllTold) => {
                        self.online.ready(Instant::now());
                        self.fill(&client);
                    }
                },
                _ = poll_outbox.tick() => {
                    if stop_at.is_some() && !self.state.connected.load(Relaxed) {
                        return Over::Stopped;
                    }
                    if heard_at.elapsed() > 2 * self.keep_alive {
                        return match stop_at {
                            Some(_) => Over::Stopped,
                            None => Over::Lost(Loss::plain("the broker does not answer any more".into())),
                        };
                    }
                    self.retry.settle(&self.state, Instant::now());
                    self.kept.try_again(&self.store);
                    self.fill(&client);
                }
            }
        }
    }

    fn pass(&mut self, client: &Client, message: Outward) {
        let acknowledged = message.acknowledged;
        let passed = self.takes(&message.topic, &message.payload) && client.publish(message);
        if passed && acknowledged {
            self.under_way.handed(About::Passing);
        }
    }

    fn idle(&self) -> bool {
        let none_under_way = self.truth.is_told() && self.under_way.count() == 0;
        none_under_way && self.store.outbox_depth().is_ok_and(|n| n == 0)
    }

    fn on(&mut self, client: &Client, happened: Happened) {
        match happened {
            Happened::Connected { max_bytes, keep_alive } => {
                self.max_bytes = max_bytes;
                self.keep_alive = keep_alive.unwrap_or(self.options.keep_alive);
                self.state.connected.store(true, Relaxed);
                self.state.connects.fetch_add(1, Relaxed);
                self.state.set_trouble(None);
                tracing::info!(
                    broker = %format!("{}:{}", self.options.host, self.options.port), version = %self.options.version,
                    "MQTT connected"
                );
                self.online.connected(Instant::now());
                self.retry.connected(Instant::now());
                client.subscribe(subscriptions::filters(&self.options, &self.topics));
                self.fill(client);
            }
            Happened::Subscribed(refused) => {
                let asked = subscriptions::filters(&self.options, &self.topics);
                subscriptions::answered(asked, refused, &self.state);
            }
            Happened::Sent(id) => self.under_way.left(id),
            Happened::Acknowledged(id) => {
                match self.under_way.answered(id) {
                    Some(About::Alert(row)) => {
                        self.kept.remove(&self.store, row);
                        self.outbox.taken(row);
                        self.state.acknowledged.fetch_add(1, Relaxed);
                        if self.outbox.none_refused() {
                            self.state.set_trouble(None);
                        }
                    }
                    Some(About::Truth { topic, cleared }) => {
                        let last = !self.under_way.tells(&topic);
                        if self.truth.acknowledged(&topic, cleared && last) {
                            warn(self.remembered.forget(&self.store, &topic));
                        }
                    }
                    _ => {}
                }
                self.fill(client);
            }
            Happened::Refused(id, reason) => {
                match self.under_way.answered(id) {
                    Some(About::Alert(row)) => self.refused(row, &reason),
                    Some(About::Truth { topic, .. }) => {
                        if self.truth.refused(topic.clone(), Instant::now()) {
                            tracing::warn!("MQTT: the broker refuses {topic}: {reason}");
                        }
                    }
                    Some(About::Passing) | None => tracing::warn!("MQTT: the broker refuses a snapshot: {reason}"),
                }
                self.fill(client);
            }
            // What was ordered before we came is not wanted any more.
            Happened::Received { retained: true, .. } => {}
            Happened::Received { topic, payload, .. } => self.hear(client, &topic, &payload),
            Happened::Other | Happened::Lost(_) => {}
        }
    }

    /// It waits in the store, and those of its topic with it: the others go on.
    fn refused(&mut self, row: i64, reason: &str) {
        let topic = self.outbox.refused(row, Instant::now()).unwrap_or_default();
        self.state.alerts_refused.fetch_add(1, Relaxed);
        let why = format!("{REFUSES}: {reason}; does its ACL let this user write to {topic}?");
        if !self.state.trouble().is_some_and(|told| told.starts_with(REFUSES)) {
            tracing::error!("MQTT: {why}; they wait in the store");
        }
        self.state.set_trouble(Some(why));
    }

    /// Somebody speaks to us: Home Assistant has started and wants to know its devices, or a person orders something.
    fn hear(&mut self, client: &Client, topic: &str, payload: &[u8]) {
        if topic == home_assistant::BIRTH {
            if payload == b"online" {
                self.truth.tell_again(home_assistant::PREFIX);
                self.fill(client);
            }
            return;
        }
        match order(&self.topics, topic, payload) {
            Ok(order) if self.ordered.try_send(order.clone()).is_ok() => tracing::info!(%order, "ordered over MQTT"),
            Ok(order) => tracing::warn!(%order, "ordered over MQTT, but too many orders wait"),
            Err(why) => tracing::warn!("MQTT: {why}"),
        }
    }

    /// Hands out what waits: first what is true now, then the alerts, in order, a few at a time.
    fn fill(&mut self, client: &Client) {
        if !self.state.connected.load(Relaxed) {
            return;
        }
        let now = Instant::now();
        self.truth.try_again(now);
        let handed = self.tell_truth(client);
        let is_due = self.online.is_due(self.truth.is_told(), now);
        if is_due && self.tell(client, self.topics.available(), b"online".to_vec()) {
            self.online.over();
        }
        if !handed {
            return;
        }
        self.outbox.try_again(now);
        while self.room() > 0 {
            let waiting = match self.store.waiting(self.outbox.last_row(), IN_FLIGHT) {
                Ok(waiting) => waiting,
                Err(error) => return tracing::error!("{error}"),
            };
            if waiting.is_empty() {
                return self.outbox.all_offered();
            }
            if !self.offer(client, waiting) {
                return;
            }
        }
    }

    /// Hands out what is true now and was not told yet. False where the client takes no more.
    fn tell_truth(&mut self, client: &Client) -> bool {
        while let (true, Some((topic, payload))) = (self.room() > 0, self.truth.first()) {
            // Home Assistant ignores an empty state: what was ON before it is cleared would be ON for ever.
            let was_active = payload.is_empty() && self.topics.is_active(&topic);
            if was_active && !self.tell(client, topic.clone(), b"OFF".to_vec()) {
                return false;
            }
            if !self.tell(client, topic, payload) {
                return false;
            }
            self.truth.told();
        }
        true
    }

    /// False where the client takes no more: the next acknowledgement tries again.
    fn offer(&mut self, client: &Client, waiting: Vec<Waiting>) -> bool {
        let now_ms = jiff::Timestamp::now().as_millisecond();
        for mut message in waiting {
            if self.room() == 0 {
                return false;
            }
            if self.kept.holds(message.row) {
                self.outbox.pass_over(message.row);
                continue;
            }
            if !self.outbox.offers(message.row, &message.topic) {
                continue;
            }
            if !self.takes(&message.topic, message.payload.as_bytes()) {
                let Some(slim) = slimmed(&message.topic, &message.payload, self.max_bytes) else {
                    self.kept.remove(&self.store, message.row);
                    self.outbox.pass_over(message.row);
                    continue;
                };
                message.payload = slim;
            }
            let queued_ms = now_ms - message.since_utc_ms;
            let handed = client.publish(Outward {
                topic: message.topic.clone(),
                payload: message.payload.into_bytes(),
                acknowledged: true,
                retain: false,
                queued_ms: (queued_ms > LATE_MS).then_some(queued_ms),
            });
            if !handed {
                return false;
            }
            self.under_way.handed(About::Alert(message.row));
            self.outbox.handed_out(message.row, message.topic);
        }
        true
    }

    /// Whether the broker takes a message of that size; one that it does not take is told.
    fn takes(&self, topic: &str, payload: &[u8]) -> bool {
        if fits(topic, payload, self.max_bytes) {
            return true;
        }
        self.state.too_large.fetch_add(1, Relaxed);
        tracing::error!(
            topic,
            bytes = payload.len(),
            limit = self.max_bytes,
            "MQTT: larger than the broker takes; an alert goes without its tracks and evidence, which `watchfire events` \
             still has, anything else is left out; raise the broker's packet limit"
        );
        false
    }

    fn room(&self) -> usize {
        IN_FLIGHT.saturating_sub(self.under_way.count())
    }

    /// Publishes a topic's truth, retained. False when the client's queue is full.
    fn tell(&mut self, client: &Client, topic: String, payload: Vec<u8>) -> bool {
        let cleared = payload.is_empty();
        if !self.takes(&topic, &payload) {
            return true;
        }
        let done = client.publish(Outward {
            topic: topic.clone(),
            payload,
            acknowledged: true,
            retain: true,
            queued_ms: None,
        });
        if done {
            self.under_way.handed(About::Truth { topic, cleared });
        }
        done
    }
}

fn warn(result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::error!("{error}");
    }
}
