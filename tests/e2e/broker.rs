//! Alerts survive a broker that goes away and a daemon that is killed.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use watchfire::demo::media::siren;
use watchfire::ingest::gst::record::Mp4Writer;
use watchfire::ingest::gst::sim::{Mount, Show, SimServer};
use watchfire::publish::subscribe;

use super::house::{House, mosquitto};
use super::mqtt::guarded_broker;

/// The camera `gate`: five seconds of siren and five of silence before a grey wall, as H.264 and AAC, again and again.
pub fn siren_camera(dir: &std::path::Path) -> SimServer {
    let path = dir.join("siren.mp4");
    let writer = Mp4Writer::create(&path, 320, 240, 10, true).unwrap();
    let mut sound = siren(5.0);
    sound.resize(160_000, 0.0);
    let picture = watchfire::data::Picture {
        width: 320,
        height: 240,
        rgb: vec![90; 320 * 240 * 3],
    };
    for i in 0..100u64 {
        writer.picture(&picture, i * 100_000_000).unwrap();
        let block = &sound[i as usize * 1600..][..1600];
        writer.sound(block, i * 100_000_000).unwrap();
    }
    writer.finish().unwrap();
    let mount = Mount {
        name: "gate".into(),
        show: Show::Clip { path, looped: true },
    };
    SimServer::start(&[mount], None, None).unwrap()
}

/// The camera of [`siren_camera`], whose alerts end and come again at once.
pub fn hears_sirens(cameras: &SimServer) -> String {
    format!(
        "[[camera]]\nid = \"gate\"\nurl = \"{}\"\nkinds = [\"siren\"]\n\
         [[camera.rule]]\nkind = \"siren\"\nhold_s = 1.0\ncooldown_s = 0.0\n",
        cameras.url("gate")
    )
}

#[test]
fn no_committed_alert_is_lost_without_a_broker_or_by_a_kill() {
    let mut house = House::new();
    let cameras = siren_camera(house.dir.path());
    house.configure(&hears_sirens(&cameras));
    house.start();
    house.wait_alert("gate", "siren", "start", 60);
    house.wait_alert("gate", "siren", "end", 60);

    // The broker goes. Alerts go on, into the store: its log says so.
    house.broker.take();
    let before = started(&house.log());
    house.wait_log("two more alerts", 60, |log| started(log) >= before + 2);
    // Killed in the middle of it.
    house.daemon().signal(Signal::SIGKILL);
    assert!(house.daemon().ended(Duration::from_secs(10)).is_some());
    let committed = started(&house.log());

    house.broker = Some(mosquitto(house.dir.path(), house.mqtt_port));
    house.messages = subscribe("127.0.0.1", house.mqtt_port, "#").unwrap();
    house.start();
    // Whatever was committed comes, in order, before the alerts of the new life. What the broker had not acknowledged may come twice.
    let mut lives: Vec<(String, Vec<Value>)> = Vec::new();
    house.wait("the alerts that waited", 60, |topic, payload| {
        if !topic.contains("/alert/") {
            return None;
        }
        let alert: Value = serde_json::from_slice(payload).unwrap();
        let id = alert["id"].as_str().unwrap().to_owned();
        match lives.iter_mut().find(|(known, _)| *known == id) {
            Some((_, life)) if life.contains(&alert) => {}
            Some((_, life)) => life.push(alert),
            None => lives.push((id, vec![alert])),
        }
        let over = |life: &[Value]| life.last().is_some_and(|a| a["phase"] == "end");
        (lives.iter().filter(|(_, life)| over(life)).count() >= committed - before).then_some(())
    });
    for (_, life) in &lives {
        let rises = |a: &Value, b: &Value| {
            a["seq"].as_u64() < b["seq"].as_u64() && a["phase"] != "end" && b["phase"] != "start"
        };
        assert!(life.is_sorted_by(rises), "{life:?}");
    }
    assert!(
        lives.is_sorted_by(|a, b| a.0 < b.0),
        "ids carry their start, and come in order: {lives:?}"
    );
}

fn started(log: &str) -> usize {
    log.lines()
        .filter(|l| l.contains("kind=siren") && l.contains("phase=start"))
        .count()
}

#[test]
fn a_refused_login_is_told_as_such_and_the_right_one_works() {
    let mut house = House::new();
    house.broker.take();
    house.broker = Some(guarded_broker(house.dir.path(), house.mqtt_port, "right-canary", false));
    let login = |house: &House, password: &str| {
        let url = format!("url = \"mqtt://127.0.0.1:{}\"\n", house.mqtt_port);
        house.configure_with(&format!("{url}username = \"guard\"\npassword = \"{password}\"\n"), "");
    };
    login(&house, "wrong-canary");
    house.start();
    house.wait_log("the refusal", 30, |log| log.contains("refused the login"));
    let pages = house.get("/healthz") + &house.get("/metrics");
    assert!(pages.contains("MQTT: the broker refused the login"), "{pages}");
    let count = pages
        .lines()
        .find(|l| l.starts_with("watchfire_mqtt_logins_refused_total "));
    assert!(count.is_some_and(|l| !l.ends_with(" 0")), "{pages}");
    house.daemon().signal(Signal::SIGTERM);
    assert!(house.daemon().ended(Duration::from_secs(20)).is_some());

    login(&house, "right-canary");
    house.start();
    house.wait_log("the connection", 30, |log| log.contains("MQTT connected"));
    let pages = house.get("/healthz") + &house.get("/metrics");
    assert!(!pages.contains("refused the login"), "{pages}");
    let seen = house.log() + &pages;
    assert!(!seen.contains("canary"), "a password is shown");
}
