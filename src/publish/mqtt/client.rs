//! MQTT 5 and 3.1.1 behind one face: a handle that publishes, and a channel of what came of it.
//!
//! The library's event loop must not be interrupted: a `poll` that is given up begins the connection anew, and may forget
//! a packet. So it runs in a task of its own, and the publisher's loop waits for its channel.

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS as QoS5;
use rumqttc::v5::mqttbytes::v5::{
    Filter, LastWill as LastWill5, Packet as Packet5, PubAckReason, PublishProperties, SubscribeReasonCode as Granted5,
};
use rumqttc::v5::{self, Event as Event5};
use rumqttc::{
    self as v311, Event as Event311, Outgoing, Packet as Packet311, QoS, SubscribeFilter,
    SubscribeReasonCode as Granted311, TlsConfiguration, Transport,
};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::loss::{self, Loss};
use crate::publish::{MqttOptions, MqttVersion};

/// The library's own limit of 10 KiB in MQTT 3.1.1 is less than a snapshot.
const MAX_PACKET_BYTES: usize = 16 << 20;
/// Publishes that the library takes before any of them has left.
const QUEUE: usize = 64;

/// What a connection tells.
pub(super) enum Happened {
    /// With the largest packet that the broker takes and the keep-alive that it wants, where it says so (MQTT 5).
    Connected {
        max_bytes: Option<usize>,
        keep_alive: Option<Duration>,
    },
    /// The next QoS 1 publish has left, with this packet id.
    Sent(u16),
    Acknowledged(u16),
    /// The broker does not take it (MQTT 5; 3.1.1 has no word for that), and why.
    Refused(u16, String),
    /// The answer to [`Client::subscribe`]: of each filter, in order, why it is refused.
    Subscribed(Vec<Option<String>>),
    /// Somebody published what we subscribed to.
    Received {
        topic: String,
        payload: Vec<u8>,
        /// It was published before we came.
        retained: bool,
    },
    /// Nothing that concerns us; the connection lives.
    Other,
    Lost(Loss),
}

/// One message on its way out.
pub(super) struct Outward {
    pub topic: String,
    pub payload: Vec<u8>,
    /// QoS 1, else QoS 0.
    pub acknowledged: bool,
    pub retain: bool,
    /// How long it waited, for the reader. MQTT 3.1.1 has no place for it.
    pub queued_ms: Option<i64>,
}

/// One connection, from its start to its loss. Dropping it cuts it off.
pub(super) struct Client {
    handle: Handle,
    happened: Receiver<Happened>,
    task: JoinHandle<()>,
}

enum Handle {
    V5(v5::AsyncClient),
    V311(v311::AsyncClient),
}

/// The name that the broker knows us by. It throws out whoever has it when another one comes with it.
pub(super) fn client_id(options: &MqttOptions) -> String {
    format!("watchfire-{}-{}", options.site, options.box_name)
}

impl Client {
    /// Begins to connect; `will_topic` says `offline` when the connection breaks.
    pub fn connect(options: &MqttOptions, tls: Option<TlsConfiguration>, will_topic: String) -> Self {
        let id = client_id(options);
        let transport = tls.map_or_else(Transport::tcp, Transport::tls_with_config);
        let password = || options.password.as_ref().map_or("", |p| p.expose());
        let (tell, happened) = channel(QUEUE);
        let (handle, task) = match options.version {
            MqttVersion::V5 => {
                let mut o = v5::MqttOptions::new(id, &options.host, options.port);
                o.set_keep_alive(options.keep_alive)
                    .set_clean_start(true)
                    .set_max_packet_size(Some(MAX_PACKET_BYTES as u32))
                    .set_transport(transport)
                    .set_last_will(LastWill5::new(will_topic, "offline", QoS5::AtLeastOnce, true, None));
                if let Some(user) = &options.username {
                    o.set_credentials(user, password());
                }
                let (client, events) = v5::AsyncClient::new(o, QUEUE);
                (Handle::V5(client), tokio::task::spawn_local(relay(events, tell)))
            }
            MqttVersion::V311 => {
                let mut o = v311::MqttOptions::new(id, &options.host, options.port);
                o.set_keep_alive(options.keep_alive)
                    .set_clean_session(true)
                    .set_max_packet_size(MAX_PACKET_BYTES, MAX_PACKET_BYTES)
                    .set_transport(transport)
                    .set_last_will(v311::LastWill::new(will_topic, "offline", QoS::AtLeastOnce, true));
                if let Some(user) = &options.username {
                    o.set_credentials(user, password());
                }
                let (client, events) = v311::AsyncClient::new(o, QUEUE);
                (Handle::V311(client), tokio::task::spawn_local(relay(events, tell)))
            }
        };
        Self { handle, happened, task }
    }

    /// The next thing that happened. May be given up and asked again.
    pub async fn next(&mut self) -> Happened {
        let gone = || Happened::Lost(Loss::plain("the connection's task has ended".into()));
        self.happened.recv().await.unwrap_or_else(gone)
    }

    /// False when the queue is full: the next acknowledgement makes room.
    pub fn publish(&self, message: Outward) -> bool {
        let Outward {
            topic, payload, retain, ..
        } = message;
        match &self.handle {
            Handle::V5(client) => {
                let qos = if message.acknowledged {
                    QoS5::AtLeastOnce
                } else {
                    QoS5::AtMostOnce
                };
                let user_properties = message.queued_ms.map(|ms| ("queued_ms".into(), ms.to_string()));
                let properties = PublishProperties {
                    user_properties: user_properties.into_iter().collect(),
                    ..PublishProperties::default()
                };
                client
                    .try_publish_with_properties(topic, qos, retain, payload, properties)
                    .is_ok()
            }
            Handle::V311(client) => {
                let qos = if message.acknowledged {
                    QoS::AtLeastOnce
                } else {
                    QoS::AtMostOnce
                };
                client.try_publish(topic, qos, retain, payload).is_ok()
            }
        }
    }

    /// Asks for what is published on these filters from now on, once a connection: the answer does not say what was asked.
    pub fn subscribe(&self, filters: Vec<String>) {
        // A subscription to nothing is an error of the protocol.
        if filters.is_empty() {
            return;
        }
        let filters = filters.into_iter();
        let _ = match &self.handle {
            Handle::V5(client) => {
                let asked = filters.map(|f| Filter::new(f, QoS5::AtLeastOnce));
                client.try_subscribe_many(asked).is_ok()
            }
            Handle::V311(client) => {
                let asked = filters.map(|f| SubscribeFilter::new(f, QoS::AtLeastOnce));
                client.try_subscribe_many(asked).is_ok()
            }
        };
    }

    /// Says goodbye, so that the broker does not publish the will.
    pub fn disconnect(&self) {
        let _ = match &self.handle {
            Handle::V5(client) => client.try_disconnect().is_ok(),
            Handle::V311(client) => client.try_disconnect().is_ok(),
        };
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes on what happens until the connection is lost or nobody listens.
async fn relay(mut events: impl Events, tell: Sender<Happened>) {
    loop {
        let happened = events.next().await;
        let lost = matches!(happened, Happened::Lost(_));
        if tell.send(happened).await.is_err() || lost {
            return;
        }
    }
}

/// What both versions' event loops come down to.
trait Events {
    async fn next(&mut self) -> Happened;
}

impl Events for v5::EventLoop {
    async fn next(&mut self) -> Happened {
        match self.poll().await {
            Ok(Event5::Incoming(Packet5::ConnAck(ack))) => {
                let said = ack.properties.map(|p| (p.max_packet_size, p.server_keep_alive));
                let (max_bytes, keep_alive) = said.unwrap_or_default();
                Happened::Connected {
                    max_bytes: max_bytes.map(|n| n as usize),
                    keep_alive: keep_alive.map(|s| Duration::from_secs(s.into())),
                }
            }
            Ok(Event5::Incoming(Packet5::PubAck(ack))) => match ack.reason {
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Happened::Acknowledged(ack.pkid),
                reason => Happened::Refused(ack.pkid, loss::words(&reason)),
            },
            Ok(Event5::Incoming(Packet5::SubAck(ack))) => {
                let refused = |code: &Granted5| (!matches!(code, Granted5::Success(_))).then(|| loss::words(code));
                Happened::Subscribed(ack.return_codes.iter().map(refused).collect())
            }
            Ok(Event5::Incoming(Packet5::Publish(p))) => Happened::Received {
                topic: String::from_utf8_lossy(&p.topic).into_owned(),
                payload: p.payload.to_vec(),
                retained: p.retain,
            },
            Ok(Event5::Outgoing(outgoing)) => sent(&outgoing),
            Ok(Event5::Incoming(_)) => Happened::Other,
            Err(error) => Happened::Lost(loss::of_v5(&error)),
        }
    }
}

impl Events for v311::EventLoop {
    async fn next(&mut self) -> Happened {
        match self.poll().await {
            Ok(Event311::Incoming(Packet311::ConnAck(_))) => Happened::Connected {
                max_bytes: None,
                keep_alive: None,
            },
            Ok(Event311::Incoming(Packet311::PubAck(ack))) => Happened::Acknowledged(ack.pkid),
            Ok(Event311::Incoming(Packet311::SubAck(ack))) => {
                let refused =
                    |code: &Granted311| (*code == Granted311::Failure).then(|| "it does not say why".to_owned());
                Happened::Subscribed(ack.return_codes.iter().map(refused).collect())
            }
            Ok(Event311::Incoming(Packet311::Publish(p))) => Happened::Received {
                topic: p.topic,
                payload: p.payload.to_vec(),
                retained: p.retain,
            },
            Ok(Event311::Outgoing(outgoing)) => sent(&outgoing),
            Ok(Event311::Incoming(_)) => Happened::Other,
            Err(error) => Happened::Lost(loss::of_v311(&error)),
        }
    }
}

fn sent(outgoing: &Outgoing) -> Happened {
    match outgoing {
        // Packet id 0: QoS 0, which nobody acknowledges.
        Outgoing::Publish(id) if *id > 0 => Happened::Sent(*id),
        _ => Happened::Other,
    }
}
