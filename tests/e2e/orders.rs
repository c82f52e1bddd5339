//! Home Assistant learns every camera, and orders over MQTT are obeyed where they are switched on.

use std::process::Command;

use serde_json::Value;
use watchfire::ingest::gst::sim::{Mount, SimServer};

use super::house::{House, free_port};

fn publish(house: &House, topic: &str, payload: &str, retain: bool) {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &house.mqtt_port.to_string(), "-q", "1"]);
    command.args(["-t", topic, "-m", payload]);
    if retain {
        command.arg("-r");
    }
    let done = command
        .status()
        .expect("mosquitto_pub is not installed: run `make setup`");
    assert!(done.success());
}

#[test]
fn home_assistant_learns_every_camera_and_orders_are_obeyed() {
    let mount = Mount::test("yard", "h264", "");
    let cameras = SimServer::start(&[mount], None, None).unwrap();
    let mut house = House::new();
    let url = format!("url = \"mqtt://127.0.0.1:{}\"\n", house.mqtt_port);
    let camera = format!(
        "[[camera]]\nid = \"yard\"\nurl = \"{}\"\nkinds = [\"intrusion\", \"siren\"]\n",
        cameras.url("yard")
    );
    // Left over from another day: it must not stop the camera.
    publish(&house, "watchfire/t/command/camera/yard/enable", "OFF", true);
    house.configure_with(&format!("{url}commands = true\n"), &camera);
    house.start();
    let told = |topic: &str, payload: &[u8]| {
        let device = topic.starts_with("homeassistant/device/watchfire_t_") && !payload.is_empty();
        device.then(|| serde_json::from_slice::<Value>(payload).unwrap())
    };
    let device = house.wait("the device", 30, told);
    let siren = &device["components"]["siren"];
    assert_eq!(siren["state_topic"], "watchfire/t/camera/yard/active/siren");
    house.wait_state("yard", "streaming", None, 60);
    publish(&house, "homeassistant/status", "online", false);
    assert_eq!(house.wait("the device again", 30, told), device);

    house.wait("levels, so a picture has come", 30, |t, _| {
        t.ends_with("yard/levels").then_some(())
    });
    publish(&house, "watchfire/t/command/snapshot", "yard", false);
    house.wait("the ordered picture", 30, |t, p| {
        (t == "watchfire/t/camera/yard/snapshot/command" && p[..2] == [0xFF, 0xD8]).then_some(())
    });
    publish(&house, "watchfire/t/command/camera/yard/enable", "OFF", false);
    let off = house.wait_state("yard", "disabled", None, 30);
    assert_eq!(off["detail"], "switched off over MQTT");
    publish(&house, "watchfire/t/command/camera/yard/enable", "ON", false);
    house.wait_state("yard", "streaming", None, 60);
    publish(&house, "watchfire/t/command/camera/shed/enable", "ON", false);
    publish(&house, "watchfire/t/command/snapshot", "barn", false);
    for unknown in ["shed", "barn"] {
        let told = format!("there is no camera {unknown}; there are yard");
        house.wait_log("the unknown camera, and those there are", 30, |log| log.contains(&told));
    }

    // A reload by order; the switches of [mqtt] themselves wait for a restart.
    house.configure_with(&format!("{url}commands = true\n"), "");
    publish(&house, "watchfire/t/command/reload", "", false);
    house.wait("the device is forgotten", 30, |t, p| {
        (t.starts_with("homeassistant/device/watchfire_t_") && p.is_empty()).then_some(())
    });
}

#[test]
fn orders_are_not_obeyed_unless_switched_on() {
    let mut house = House::new();
    house.configure(&format!(
        "[[camera]]\nid = \"yard\"\nurl = \"rtsp://127.0.0.1:{}/x\"\n",
        free_port()
    ));
    house.start();
    let told = |topic: &str, payload: &[u8]| {
        let device = topic.starts_with("homeassistant/device/watchfire_t_") && !payload.is_empty();
        device.then_some(())
    };
    house.wait("the device", 30, told);
    publish(&house, "watchfire/t/command/reload", "", false);
    // What the broker takes after the order comes after it, and is answered after it.
    publish(&house, "homeassistant/status", "online", false);
    house.wait("the device again", 30, told);
    assert!(!house.log().contains("ordered over MQTT"), "{}", house.log());
}
