//! What the daemon remembers over its restarts.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use watchfire::ingest::gst::sim::{Mount, SimServer};
use watchfire::store::{Message, Store, StoreOptions};

use super::house::House;

fn store(house: &House) -> Store {
    let day = Duration::from_secs(86_400);
    Store::open(&StoreOptions {
        dir: house.state_dir(),
        keep_for: day,
        outbox_max: 10,
        outbox_max_age: day,
    })
    .unwrap()
}

/// Runs the daemon until it has judged some seconds, stops it, and reads what it kept.
fn learned_in_a_run(house: &mut House) -> (Store, Value) {
    house.start();
    for _ in 0..3 {
        house.wait("a camera that is judged", 60, |t, _| {
            t.ends_with("yard/levels").then_some(())
        });
    }
    house.daemon().signal(Signal::SIGTERM);
    let status = house.daemon().ended(Duration::from_secs(15)).expect("it stops");
    assert!(status.success(), "{}", house.log());
    let store = store(house);
    let text = store.learned("yard").unwrap().expect("something was learned");
    let memory = serde_json::from_str(&text).unwrap();
    (store, memory)
}

#[test]
fn what_was_learned_of_a_camera_goes_on_after_a_restart() {
    let mount = Mount::test("yard", "h264", "aac");
    let cameras = SimServer::start(&[mount], None, None).unwrap();
    let mut house = House::new();
    house.configure(&format!(
        "[[camera]]\nid = \"yard\"\nurl = \"{}\"\nkinds = [\"anomaly\"]\n",
        cameras.url("yard")
    ));
    // An alert of the seventies, and one of now.
    let message = |alert_id: &str, started_utc_ms| Message {
        alert_id: alert_id.into(),
        camera: "yard".into(),
        kind: "anomaly".into(),
        phase: "end".into(),
        started_utc_ms,
        topic: "t".into(),
        payload: "{}".into(),
    };
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let events = [message("old", 1_000), message("new", now_ms)];
    let mut before = store(&house);
    before.commit(&events[..1], 1_000).unwrap();
    before.commit(&events[1..], now_ms).unwrap();
    for waiting in before.waiting(0, 10).unwrap() {
        before.acknowledge(waiting.row).unwrap();
    }
    drop(before);
    let (store, mut memory) = learned_in_a_run(&mut house);
    // In its first hour nothing is too old: the clock may be ahead.
    assert_eq!(store.life("old").unwrap().len(), 1);
    assert_eq!(store.life("new").unwrap().len(), 1);
    let watched_s = memory["watched_s"].as_f64().unwrap();
    assert!((0.5..60.0).contains(&watched_s), "{watched_s}");
    // As if it had watched for days.
    memory["watched_s"] = (1e6).into();
    store.keep_learned("yard", &memory.to_string(), 1).unwrap();
    drop(store);
    let (_, memory) = learned_in_a_run(&mut house);
    let watched_s = memory["watched_s"].as_f64().unwrap();
    assert!((1e6 + 0.5..1e6 + 60.0).contains(&watched_s), "{watched_s}");
}
