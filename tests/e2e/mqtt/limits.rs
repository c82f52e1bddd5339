//! What a broker does not take, and what it keeps back.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;
use crate::house::House;

#[test]
fn an_alert_larger_than_the_broker_takes_goes_without_its_tracks_and_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let _broker = mosquitto_with(dir.path(), port, "allow_anonymous true\nmax_packet_size 4000\n");
    let messages = subscribe("127.0.0.1", port, "watchfire/t/#").unwrap();
    let mut waiting = alerts(0, 3);
    // A crowd, and something that no alert is.
    let tracks = vec![serde_json::json!({"id": 1, "class": "person", "bbox": [0.1, 0.2, 0.3, 0.4]}); 200];
    waiting[0].payload = serde_json::json!({"id": "crowd", "tracks": tracks, "evidence": [1]}).to_string();
    waiting[1].payload = "x".repeat(5_000);
    Store::open(&store(dir.path()))
        .unwrap()
        .commit(&waiting, now_ms())
        .unwrap();
    let running = Running::start(options(port, MqttVersion::V5), dir.path());
    running
        .0
        .retain("watchfire/t/camera/yard/status".into(), vec![b'y'; 5_000]);
    let next = || loop {
        let (topic, payload) = messages.recv_timeout(Duration::from_secs(20)).unwrap();
        if !topic.contains("/box/") {
            return String::from_utf8(payload).unwrap();
        }
    };
    assert_eq!(next(), r#"{"evidence":[1],"id":"crowd","tracks":[]}"#);
    assert_eq!(next(), "00002");
    running.wait("all three to be counted", |s| s.too_large.load(Relaxed) == 3);
    let outbox = Store::open(&store(dir.path())).unwrap();
    running.wait("an empty outbox", |_| outbox.outbox_depth().unwrap() == 0);
    assert_eq!(running.0.state().connects.load(Relaxed), 1);
}

#[test]
fn a_topic_that_cuts_the_connection_holds_up_nothing_and_is_forgotten() {
    const TOPICS: [&str; 2] = [
        "watchfire/t/camera/yard\t/status",
        "watchfire/t/camera/ya\u{85}rd/status",
    ];
    for version in VERSIONS {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut known = Store::open(&store(dir.path())).unwrap();
        // As an older version did.
        for topic in TOPICS {
            known.remember_retained(topic).unwrap();
        }
        known.commit(&alerts(0, 3), now_ms()).unwrap();
        let running = Running::start(options(port, version), dir.path());
        running.0.retain(TOPICS[0].into(), b"wrong".to_vec());
        // That camera was mended.
        running.0.retain(TOPICS[1].into(), Vec::new());
        running.wait_trouble("refused");
        let _broker = mosquitto_with(dir.path(), port, "allow_anonymous true\n");
        running.wait("the alerts to be taken", |_| known.outbox_depth().unwrap() == 0);
        running.wait("both to be forgotten", |_| known.retained().unwrap().is_empty());
        assert_eq!(running.0.state().connects.load(Relaxed), 1, "MQTT {version}");
    }
}

#[test]
fn a_camera_whose_id_is_no_topic_cuts_nobody_off_and_is_told_by_the_box() {
    let mut house = House::new();
    let camera = |id: &str| format!("[[camera]]\nid = \"{id}\"\nurl = \"rtsp://127.0.0.1:1/x\"\n");
    // A tab, and another level.
    house.configure(&(camera("yard\\t") + &camera("ya/rd")));
    house.start();
    house.wait("a box that is online", 60, |topic, payload| {
        (topic == "watchfire/t/box/b/available" && payload == b"online").then_some(())
    });
    let status = house
        .heard
        .iter()
        .rfind(|(topic, _)| topic == "watchfire/t/box/b/status");
    let status: serde_json::Value = serde_json::from_slice(&status.expect("it comes before online").1).unwrap();
    let problems = status["problems"].to_string();
    assert!(
        problems.contains("ya/rd") && problems.contains(r"yard\\t"),
        "{problems}"
    );

    house.configure(&camera("yard"));
    house.daemon().signal(Signal::SIGHUP);
    house.wait_state("yard", "offline", None, 60);
    assert_eq!(house.log().matches("MQTT connected").count(), 1, "{}", house.log());
    let told = |(topic, payload): &&(String, Vec<u8>)| topic.contains("camera/ya/") && !payload.is_empty();
    let strange = house.heard.iter().find(told);
    assert!(strange.is_none(), "{strange:?}");
}

/// A broker that lets one client in and tells it nothing: Mosquitto's file of an ACL has no word for that.
fn secretive_broker(version: MqttVersion) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut packet = [0; 1024];
        // They come one by one: to connect and to subscribe wait for their answers.
        while let Ok(1..) = stream.read(&mut packet) {
            let [kind, _, high, low, ..] = packet;
            let answer = match (kind, version) {
                (0x10, MqttVersion::V5) => vec![0x20, 3, 0, 0, 0],
                (0x10, MqttVersion::V311) => vec![0x20, 2, 0, 0],
                (0x82, MqttVersion::V5) => vec![0x90, 4, high, low, 0, 0x87],
                (0x82, MqttVersion::V311) => vec![0x90, 3, high, low, 0x80],
                _ => continue,
            };
            stream.write_all(&answer).unwrap();
        }
    });
    port
}

#[test]
fn a_broker_that_keeps_orders_back_is_told_with_the_key_and_the_acl() {
    for version in VERSIONS {
        let dir = tempfile::tempdir().unwrap();
        let options = MqttOptions {
            commands: true,
            ..options(secretive_broker(version), version)
        };
        let running = Running::spawn(options, dir.path());
        running.wait_trouble("watchfire/t/command/#");
        let told = running.0.state().trouble().unwrap();
        assert!(told.contains("mqtt.commands") && told.contains("ACL"), "{told}");
    }
}
