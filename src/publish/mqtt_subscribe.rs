//! A plain subscriber, for the demo's screen and the tests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded, unbounded};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{Client, Event, MqttOptions};

/// Everything that is published on `filter` from now on, as (topic, payload). Returns once subscribed; ends with the
/// receiver.
///
/// # Errors
/// The broker is not there.
pub fn subscribe(host: &str, port: u16, filter: &str) -> Result<Receiver<(String, Vec<u8>)>, std::io::Error> {
    // A broker throws out whoever has the id of one that comes later.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let id = format!(
        "watchfire-screen-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Relaxed)
    );
    let mut options = MqttOptions::new(id, host, port);
    options.set_keep_alive(Duration::from_secs(20));
    options.set_max_packet_size(Some(8 << 20));
    let (client, mut connection) = Client::new(options, 16);
    let (messages, received) = unbounded();
    let (ready, subscribed) = bounded(1);
    let filter = filter.to_owned();
    std::thread::Builder::new().name("subscriber".into()).spawn(move || {
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    let _ = client.try_subscribe(filter.clone(), QoS::AtLeastOnce);
                }
                Ok(Event::Incoming(Packet::SubAck(_))) => {
                    let _ = ready.try_send(());
                }
                Ok(Event::Incoming(Packet::Publish(p))) => {
                    let topic = String::from_utf8_lossy(&p.topic).into_owned();
                    if messages.send((topic, p.payload.to_vec())).is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                // A broker that restarts is waited for; without one there is nothing to do but try again.
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    })?;
    subscribed
        .recv_timeout(Duration::from_secs(10))
        .map_err(|_| std::io::Error::new(std::io::ErrorKind::TimedOut, "the broker does not answer"))?;
    Ok(received)
}
