//! The retained truth against a real Mosquitto: what is told before `online`, and what becomes of a topic that is cleared.

use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crossbeam_channel::Receiver;
use watchfire::publish::{MqttVersion, subscribe};
use watchfire::store::Store;

use super::house::{free_port, mosquitto_with};
use super::mqtt::{Running, options, store};

const AVAILABLE: &str = "watchfire/t/box/b/available";

type Messages = Receiver<(String, Vec<u8>)>;

/// What comes until the box is `online`, without that.
fn until_online(messages: &Messages) -> Vec<(String, Vec<u8>)> {
    let mut before = Vec::new();
    loop {
        let message = messages.recv_timeout(Duration::from_secs(20)).expect("it is online");
        if message.0 == AVAILABLE && message.1 == b"online" {
            return before;
        }
        before.push(message);
    }
}

fn mosquitto_pub(port: u16, arguments: &[&str]) {
    let done = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1"])
        .args(arguments)
        .status()
        .expect("mosquitto_pub is not installed: run `make setup`");
    assert!(done.success());
}

/// The publisher loses its connection: somebody else has its client id.
fn cut_off(port: u16) {
    mosquitto_pub(port, &["-i", "watchfire-t-b", "-t", "watchfire/t/box/b/cut", "-m", "x"]);
}

#[test]
fn online_comes_after_the_whole_truth_at_every_connect_also_where_a_topic_is_refused() {
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let dir = tempfile::tempdir().unwrap();
        let (acl, port) = (dir.path().join("acl"), free_port());
        std::fs::write(
            &acl,
            "topic readwrite watchfire/t/box/#\ntopic readwrite watchfire/t/camera/#\ntopic read watchfire/t/secret/#\n",
        )
        .unwrap();
        let settings = format!("allow_anonymous true\nacl_file {}\n", acl.display());
        let _broker = mosquitto_with(dir.path(), port, &settings);
        let messages = subscribe("127.0.0.1", port, "watchfire/t/#").unwrap();
        let running = Running::spawn(options(port, version), dir.path());
        running.wait("the connection", |s| s.connected.load(Relaxed));
        running.0.retain("watchfire/t/secret/x".into(), b"refused".to_vec());
        // More than is under way at once.
        let topic = |i: usize| format!("watchfire/t/camera/c{i:03}/active/siren");
        for i in 0..100 {
            running.0.retain(topic(i), b"OFF".to_vec());
        }
        running.0.all_told();
        for connect in 0..2 {
            let before = until_online(&messages);
            for i in 0..100 {
                assert!(
                    before.iter().any(|(t, p)| *t == topic(i) && p == b"OFF"),
                    "{} of connection {connect} of MQTT {version} comes after online",
                    topic(i)
                );
            }
            if connect == 0 {
                cut_off(port);
            }
        }
    }
}

#[test]
fn what_was_on_is_off_before_it_is_cleared_and_is_not_cleared_again() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let _broker = mosquitto_with(dir.path(), port, "allow_anonymous true\n");
    let messages = subscribe("127.0.0.1", port, "watchfire/t/#").unwrap();
    let running = Running::spawn(options(port, MqttVersion::V5), dir.path());
    running.0.all_told();
    let topic = "watchfire/t/camera/yard/active/siren";
    let next = || loop {
        let (t, payload) = messages.recv_timeout(Duration::from_secs(20)).unwrap();
        if t == topic {
            return String::from_utf8(payload).unwrap();
        }
    };
    running.0.retain(topic.into(), b"ON".to_vec());
    assert_eq!(next(), "ON");
    running.0.retain(topic.into(), Vec::new());
    assert_eq!([next(), next()], ["OFF", ""]);
    let known = Store::open(&store(dir.path())).unwrap();
    running.wait("the topic to be forgotten", |_| known.retained().unwrap().is_empty());

    // The camera has moved to another box of the site.
    mosquitto_pub(port, &["-r", "-t", topic, "-m", "ON"]);
    assert_eq!(next(), "ON");
    cut_off(port);
    let before = until_online(&messages);
    assert!(before.iter().all(|(t, _)| t != topic), "{before:?}");
}
