//! The only place that speaks MQTT: one thread, one connection, the outbox in order, the retained truth at every connect.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{LastWill, Packet, PublishProperties};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions as RumqttOptions};
use rumqttc::{Outgoing, TlsConfiguration, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{MqttOptions, Topics};
use crate::store::{Store, StoreError, StoreOptions};

/// Alerts that are on their way to the broker at once.
const IN_FLIGHT: usize = 16;
/// An alert sent so late says so.
const LATE_MS: i64 = 2_000;

/// What the publisher is doing, for everyone to read.
#[derive(Default)]
pub struct PublisherState {
    pub connected: AtomicBool,
    pub published: AtomicU64,
    pub acknowledged: AtomicU64,
    pub connects: AtomicU64,
}

enum Command {
    /// Now true of this topic; empty clears it.
    Retain(String, Vec<u8>),
    /// At most once, not retained.
    Send(String, Vec<u8>),
    /// The outbox has grown.
    Wake,
    Stop(Duration),
}

/// The way to the publisher's thread.
#[derive(Clone)]
pub struct Publisher {
    commands: UnboundedSender<Command>,
    state: Arc<PublisherState>,
}

impl Publisher {
    /// Starts the thread. It connects by itself, and again after every loss.
    ///
    /// # Errors
    /// The store or the certificates cannot be read, or the thread cannot be started.
    pub fn spawn(options: MqttOptions, store: &StoreOptions) -> Result<(Self, JoinHandle<()>), String> {
        let (commands, received) = unbounded_channel();
        let state: Arc<PublisherState> = Arc::default();
        let worker = Worker {
            topics: Topics::new(&options.site, &options.box_name),
            tls: if options.tls { Some(tls(&options)?) } else { None },
            store: Store::open(store).map_err(|e| e.to_string())?,
            options,
            commands: received,
            state: state.clone(),
            retained: BTreeMap::new(),
            last_row: 0,
            sent: VecDeque::new(),
            in_flight: HashMap::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        let thread = std::thread::Builder::new()
            .name("wf-mqtt".into())
            .spawn(move || runtime.block_on(worker.run()))
            .map_err(|e| e.to_string())?;
        Ok((Self { commands, state }, thread))
    }

    pub fn state(&self) -> &PublisherState {
        &self.state
    }

    /// Publishes `payload` retained now and at every connect.
    pub fn retain(&self, topic: String, payload: Vec<u8>) {
        let _ = self.commands.send(Command::Retain(topic, payload));
    }

    /// Publishes once, if connected (QoS 0).
    pub fn send(&self, topic: String, payload: Vec<u8>) {
        let _ = self.commands.send(Command::Send(topic, payload));
    }

    pub fn wake(&self) {
        let _ = self.commands.send(Command::Wake);
    }

    /// Empties the outbox as far as the broker lets it within `deadline`, says `offline`, and ends the thread.
    pub fn stop(&self, deadline: Duration) {
        let _ = self.commands.send(Command::Stop(deadline));
    }
}

struct Worker {
    options: MqttOptions,
    topics: Topics,
    tls: Option<TlsConfiguration>,
    store: Store,
    commands: UnboundedReceiver<Command>,
    state: Arc<PublisherState>,
    retained: BTreeMap<String, Vec<u8>>,
    /// The newest outbox row handed to the connection.
    last_row: i64,
    /// QoS 1 publishes handed to the client, in order: their outbox row, None for retained ones.
    sent: VecDeque<Option<i64>>,
    /// By packet id.
    in_flight: HashMap<u16, Option<i64>>,
}

/// Why a connection is over.
enum Over {
    Stopped,
    Lost(String),
}

impl Worker {
    async fn run(mut self) {
        let mut wait = self.options.backoff_first;
        loop {
            let connects = self.state.connects.load(Relaxed);
            let over = self.connection().await;
            self.state.connected.store(false, Relaxed);
            let Over::Lost(why) = over else { return };
            if self.state.connects.load(Relaxed) > connects {
                wait = self.options.backoff_first;
            }
            tracing::warn!(
                broker = %format!("{}:{}", self.options.host, self.options.port),
                "MQTT: {why}; alerts wait in the store; next try in {:.1} s", wait.as_secs_f64()
            );
            if self.waits_for_stop(wait).await {
                return;
            }
            wait = (wait * 2).min(self.options.backoff_cap);
        }
    }

    /// Takes commands while there is no connection. True when told to stop.
    async fn waits_for_stop(&mut self, wait: Duration) -> bool {
        let until = tokio::time::Instant::now() + wait;
        loop {
            match tokio::time::timeout_at(until, self.commands.recv()).await {
                Err(_) => return false,
                Ok(None | Some(Command::Stop(_))) => return true,
                Ok(Some(command)) => {
                    self.note(command);
                }
            }
        }
    }

    /// Remembers the truth; None for what is not kept.
    fn note(&mut self, command: Command) -> Option<(String, Vec<u8>)> {
        let Command::Retain(topic, payload) = command else {
            return None;
        };
        let kept = if payload.is_empty() {
            self.store.forget_retained(&topic)
        } else {
            self.store.remember_retained(&topic)
        };
        warn(kept);
        self.retained.insert(topic.clone(), payload.clone());
        Some((topic, payload))
    }

    async fn connection(&mut self) -> Over {
        (self.last_row, self.sent, self.in_flight) = (0, VecDeque::new(), HashMap::new());
        let (client, mut events) = self.client();
        let mut stop_at: Option<Instant> = None;
        let mut offline_sent = false;
        let mut poll_outbox = tokio::time::interval(Duration::from_secs(1));
        loop {
            if let Some(at) = stop_at {
                let empty = self.idle();
                if !offline_sent && (empty || Instant::now() >= at) {
                    offline_sent = true;
                    self.publish(&client, self.topics.available(), b"offline".to_vec(), true, None);
                    stop_at = Some(Instant::now() + Duration::from_millis(500));
                } else if offline_sent && (empty || Instant::now() >= at) {
                    let _ = client.try_disconnect();
                    let _ = tokio::time::timeout(Duration::from_millis(200), events.poll()).await;
                    return Over::Stopped;
                }
            }
            tokio::select! {
                event = events.poll() => match event {
                    Ok(event) => self.on_event(&client, event),
                    Err(error) if stop_at.is_some() => {
                        tracing::warn!("MQTT: {error} while stopping; what waits goes out after the next start");
                        return Over::Stopped;
                    }
                    Err(error) => return Over::Lost(explain(&error)),
                },
                command = self.commands.recv() => match command {
                    None => stop_at = Some(Instant::now()),
                    Some(Command::Stop(deadline)) => stop_at = Some(Instant::now() + deadline),
                    Some(Command::Wake) => self.fill(&client),
                    Some(Command::Send(topic, payload)) => {
                        if self.state.connected.load(Relaxed) {
                            let _ = client.try_publish(topic, QoS::AtMostOnce, false, payload);
                        }
                    }
                    Some(retain) => {
                        let noted = self.note(retain);
                        if let (Some((topic, payload)), true) = (noted, self.state.connected.load(Relaxed)) {
                            self.publish(&client, topic, payload, true, None);
                        }
                    }
                },
                _ = poll_outbox.tick() => {
                    if stop_at.is_some() && !self.state.connected.load(Relaxed) {
                        return Over::Stopped;
                    }
                    self.fill(&client);
                }
            }
        }
    }

    fn idle(&self) -> bool {
        self.sent.is_empty() && self.in_flight.is_empty() && self.store.outbox_depth().is_ok_and(|n| n == 0)
    }

    fn client(&self) -> (AsyncClient, EventLoop) {
        let o = &self.options;
        let mut options = RumqttOptions::new(format!("watchfire-{}-{}", o.site, o.box_name), &o.host, o.port);
        options
            .set_keep_alive(o.keep_alive)
            .set_clean_start(true)
            .set_connection_timeout(5);
        let will = LastWill::new(self.topics.available(), "offline", QoS::AtLeastOnce, true, None);
        options.set_last_will(will);
        if let Some(user) = &o.username {
            options.set_credentials(user, o.password.as_ref().map_or("", |p| p.expose()));
        }
        if let Some(tls) = &self.tls {
            options.set_transport(Transport::tls_with_config(tls.clone()));
        }
        AsyncClient::new(options, 512)
    }

    fn on_event(&mut self, client: &AsyncClient, event: Event) {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                self.state.connected.store(true, Relaxed);
                self.state.connects.fetch_add(1, Relaxed);
                tracing::info!(broker = %format!("{}:{}", self.options.host, self.options.port), "MQTT connected");
                self.publish(client, self.topics.available(), b"online".to_vec(), true, None);
                for (topic, payload) in self.retained.clone() {
                    self.publish(client, topic, payload, true, None);
                }
                self.fill(client);
            }
            Event::Outgoing(Outgoing::Publish(0)) => {}
            Event::Outgoing(Outgoing::Publish(id)) => {
                if let Some(row) = self.sent.pop_front() {
                    self.in_flight.insert(id, row);
                }
            }
            Event::Incoming(Packet::PubAck(ack)) => {
                if let Some(Some(row)) = self.in_flight.remove(&ack.pkid) {
                    warn(self.store.acknowledge(row));
                    self.state.acknowledged.fetch_add(1, Relaxed);
                }
                self.fill(client);
            }
            _ => {}
        }
    }

    /// Hands out what waits, in order, a few at a time.
    fn fill(&mut self, client: &AsyncClient) {
        let busy = self.sent.len() + self.in_flight.len();
        if !self.state.connected.load(Relaxed) || busy >= IN_FLIGHT {
            return;
        }
        let waiting = match self.store.waiting(self.last_row, IN_FLIGHT - busy) {
            Ok(waiting) => waiting,
            Err(error) => return tracing::error!("{error}"),
        };
        let now_ms = jiff::Timestamp::now().as_millisecond();
        for message in waiting {
            let queued_ms = now_ms - message.since_utc_ms;
            let properties = (queued_ms > LATE_MS).then(|| PublishProperties {
                user_properties: vec![("queued_ms".into(), queued_ms.to_string())],
                ..PublishProperties::default()
            });
            let row = Some((message.row, properties));
            if !self.publish(client, message.topic, message.payload.into_bytes(), false, row) {
                return;
            }
            self.last_row = message.row;
            self.state.published.fetch_add(1, Relaxed);
        }
    }

    /// QoS 1. False when the client's queue is full: the next acknowledgement tries again.
    fn publish(
        &mut self,
        client: &AsyncClient,
        topic: String,
        payload: Vec<u8>,
        retain: bool,
        outbox: Option<(i64, Option<PublishProperties>)>,
    ) -> bool {
        let (row, properties) = outbox.map_or((None, None), |(row, properties)| (Some(row), properties));
        let properties = properties.unwrap_or_default();
        let done = client
            .try_publish_with_properties(topic, QoS::AtLeastOnce, retain, payload, properties)
            .is_ok();
        if done {
            self.sent.push_back(row);
        }
        done
    }
}

fn warn(result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::error!("{error}");
    }
}

/// For a person: what is wrong and what to do.
fn explain(error: &rumqttc::v5::ConnectionError) -> String {
    match error {
        rumqttc::v5::ConnectionError::ConnectionRefused(code) => {
            format!("the broker refused the login ({code:?}); check mqtt.username and mqtt.password")
        }
        other => other.to_string(),
    }
}

/// TLS with verification; a client certificate where one is given.
fn tls(options: &MqttOptions) -> Result<TlsConfiguration, String> {
    let ca = options
        .ca
        .clone()
        .unwrap_or_else(|| "/etc/ssl/certs/ca-certificates.crt".into());
    let fail = |path: &std::path::Path, why: String| format!("mqtt: {}: {why}", path.display());
    let certificates = |path: &std::path::Path| -> Result<Vec<CertificateDer<'static>>, String> {
        CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|e| fail(path, format!("no PEM certificates ({e})")))
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&ca)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots);
    let config = match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => {
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| fail(key, format!("no PEM key ({e})")))?;
            builder
                .with_client_auth_cert(certificates(cert)?, key_der)
                .map_err(|e| fail(cert, e.to_string()))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(TlsConfiguration::Rustls(Arc::new(config)))
}
