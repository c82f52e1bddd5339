//! The only place that speaks MQTT, with the files of the folder beside it: one thread, one connection at a time.

mod client;
mod fit;
mod loss;
mod online;
mod outbox;
mod refusals;
mod remembered;
mod retry;
mod subscriptions;
mod tls;
mod truth;
mod under_way;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::MqttOptions;
use super::orders::Order;
use crate::store::{Store, StoreOptions};
use client::Outward;
use worker::Worker;

/// Orders that wait to be carried out; more are refused.
const ORDERS: usize = 16;

/// What the publisher is doing, for everyone to read.
#[derive(Default)]
pub struct PublisherState {
    pub connected: AtomicBool,
    pub acknowledged: AtomicU64,
    pub connects: AtomicU64,
    /// Logins that the broker did not take.
    pub refused: AtomicU64,
    /// Alert messages that the broker did not take, by its ACL or a quota; they wait in the store.
    pub alerts_refused: AtomicU64,
    /// Messages that were larger than the broker takes: left out, or sent without their tracks and evidence.
    pub too_large: AtomicU64,
    /// Connections that broke off soon after they were made.
    pub short: AtomicU64,
    trouble: RwLock<Option<String>>,
    /// Why connections do not last.
    unsteady: RwLock<Option<String>>,
    /// Why no order is heard.
    deaf: RwLock<Option<String>>,
}

impl PublisherState {
    /// Why there is no connection or none lasts, why the broker takes no alert, or why no order is heard; None while all is well.
    pub fn trouble(&self) -> Option<String> {
        let gravest_first = [&self.trouble, &self.unsteady, &self.deaf];
        let mut all = gravest_first.into_iter();
        all.find_map(|why| why.read().clone())
    }

    fn set_trouble(&self, why: Option<String>) {
        *self.trouble.write() = why;
    }

    fn set_unsteady(&self, why: Option<String>) {
        *self.unsteady.write() = why;
    }

    fn set_deaf(&self, why: Option<String>) {
        *self.deaf.write() = why;
    }
}

enum Command {
    /// Now true of this topic; empty clears it.
    Retain(String, Vec<u8>),
    /// All that is true at a start has been told.
    AllTold,
    /// Not retained, and not kept while there is no connection.
    Send(Outward),
    /// The outbox has grown.
    Wake,
    Stop(Duration),
}

/// Whether the broker's certificates and key can be used, for whoever wants to know before a start.
///
/// # Errors
/// The key of `[mqtt]`, its file, and what is wrong with it.
pub fn check_tls(options: &MqttOptions) -> Result<(), String> {
    match options.tls {
        true => tls::configuration(options).map(drop),
        false => Ok(()),
    }
}

/// The way to the publisher's thread.
#[derive(Clone)]
pub struct Publisher {
    commands: UnboundedSender<Command>,
    state: Arc<PublisherState>,
    orders: crossbeam_channel::Receiver<Order>,
}

impl Publisher {
    /// Starts the thread. It connects by itself, and again after every loss.
    ///
    /// # Errors
    /// The store or the certificates cannot be read, or the thread cannot be started.
    pub fn spawn(options: MqttOptions, store: &StoreOptions) -> Result<(Self, JoinHandle<()>), String> {
        let (commands, received) = unbounded_channel();
        let state: Arc<PublisherState> = Arc::default();
        let (ordered, orders) = crossbeam_channel::bounded(ORDERS);
        let tls = options.tls.then(|| tls::configuration(&options)).transpose()?;
        let store = Store::open(store).map_err(|e| e.to_string())?;
        let worker = Worker::new(options, tls, store, received, ordered, state.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        let thread = std::thread::Builder::new()
            .name("wf-mqtt".into())
            .spawn(move || {
                tokio::task::LocalSet::new().block_on(&runtime, worker.run());
                // A name that is still being looked up holds up no stop.
                runtime.shutdown_background();
            })
            .map_err(|e| e.to_string())?;
        let publisher = Self {
            commands,
            state,
            orders,
        };
        Ok((publisher, thread))
    }

    /// What was ordered over MQTT; nothing unless [`MqttOptions::commands`].
    pub fn orders(&self) -> &crossbeam_channel::Receiver<Order> {
        &self.orders
    }

    pub fn state(&self) -> &PublisherState {
        &self.state
    }

    /// Publishes `payload` retained now and at every connect.
    pub fn retain(&self, topic: String, payload: Vec<u8>) {
        let _ = self.commands.send(Command::Retain(topic, payload));
    }

    /// Says that all that is true at a start was told: from now on every connection says `online`, after what is retained.
    /// Before this the box is `offline`, as the broker may hold what was true before a power cut.
    pub fn all_told(&self) {
        let _ = self.commands.send(Command::AllTold);
    }

    /// Publishes once, if connected (QoS 0).
    pub fn send(&self, topic: String, payload: Vec<u8>) {
        self.pass(topic, payload, false);
    }

    /// Publishes once, if connected, and until the broker has it or the connection is lost (QoS 1).
    pub fn send_acknowledged(&self, topic: String, payload: Vec<u8>) {
        self.pass(topic, payload, true);
    }

    fn pass(&self, topic: String, payload: Vec<u8>, acknowledged: bool) {
        let _ = self.commands.send(Command::Send(Outward {
            topic,
            payload,
            acknowledged,
            retain: false,
            queued_ms: None,
        }));
    }

    pub fn wake(&self) {
        let _ = self.commands.send(Command::Wake);
    }

    /// Empties the outbox as far as the broker lets it within `deadline`, says `offline`, and ends the thread.
    pub fn stop(&self, deadline: Duration) {
        let _ = self.commands.send(Command::Stop(deadline));
    }
}
