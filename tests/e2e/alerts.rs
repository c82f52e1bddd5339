//! From a real camera with sound to alerts with the right kind, place and time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use watchfire::demo::media::{self, SIREN_S};
use watchfire::ingest::gst::sim::{Mount, Show, SimServer};

use super::house::{House, footage, seconds_between};

#[test]
fn people_and_a_siren_become_alerts_with_their_place_time_and_proof() {
    let mut house = House::new();
    let clips = media::prepare(&footage(), &house.dir.path().join("clips")).unwrap();
    let mounts: Vec<Mount> = ["square", "garden"]
        .into_iter()
        .zip(clips)
        .map(|(name, path)| Mount {
            name: name.into(),
            show: Show::Clip { path, looped: false },
        })
        .collect();
    let cameras = SimServer::start(&mounts, None, None).unwrap();
    house.configure(&format!(
        "[[camera]]\nid = \"square\"\nurl = \"{}\"\nkinds = [\"line_crossing\"]\n\
         [[camera.line]]\nname = \"path\"\nfrom = [0.62, 1.0]\nto = [0.62, 0.3]\n\
         [[camera]]\nid = \"garden\"\nurl = \"{}\"\nkinds = [\"intrusion\", \"siren\", \"gunshot\"]\nsnapshots = \"mqtt\"\n\
         [[camera.zone]]\nname = \"lawn\"\n\
         polygon = [[0.0, 0.52], [0.2, 0.52], [0.42, 0.68], [0.58, 1.0], [0.0, 1.0]]\n",
        cameras.url("square"),
        cameras.url("garden")
    ));
    house.start();
    let streaming = house.wait_state("garden", "streaming", None, 60);
    assert_eq!(streaming["video"]["codec"], "h264");
    house.wait_state("garden", "offline", Some("eos"), 90);
    // The clip's end ends what was open.
    while !open_alerts(&house).is_empty() {
        house.wait("the end of every alert", 20, |topic, _| {
            topic.contains("/alert/").then_some(())
        });
    }
    while anything_active(&house) {
        house.wait("OFF for every kind", 20, |topic, _| {
            topic.contains("/active/").then_some(())
        });
    }

    let alerts: Vec<Value> = house
        .heard
        .iter()
        .filter(|(topic, _)| topic.contains("/alert/"))
        .map(|(_, payload)| serde_json::from_slice(payload).unwrap())
        .collect();
    let first = |kind: &str, phase: &str| {
        alerts
            .iter()
            .find(|a| a["kind"] == kind && a["phase"] == phase)
            .unwrap_or_else(|| panic!("no {kind} {phase} in {alerts:#?}"))
    };
    // The truth, in seconds of the clip: somebody steps on the lawn at about 4.5, the siren sounds from 12 to 20.
    let intrusion = first("intrusion", "start");
    assert_eq!(
        (&intrusion["zone"], &intrusion["severity"]),
        (&"lawn".into(), &"warning".into())
    );
    assert_eq!(intrusion["tracks"][0]["class"], "person");
    let at_s = seconds_between(&streaming["since"], &intrusion["started_at"]);
    assert!((2.5..7.5).contains(&at_s), "intrusion at {at_s}");
    let (siren, quiet) = (first("siren", "start"), first("siren", "end"));
    let at_s = seconds_between(&streaming["since"], &siren["started_at"]);
    let start = f64::from(SIREN_S.0);
    assert!((start - 1.5..start + 3.0).contains(&at_s), "siren at {at_s}");
    let length_s = seconds_between(&quiet["started_at"], &quiet["ended_at"]);
    assert!((4.0..10.0).contains(&length_s), "the siren lasted {length_s}");
    assert_eq!(siren["evidence"][0]["modality"], "audio");
    assert!(siren["evidence"][0]["contribution"].as_f64().unwrap() > 0.0);
    let crossing = first("line_crossing", "start");
    assert_eq!(crossing["zone"], "path");
    let square = house.heard.iter().find_map(|(topic, payload)| {
        let status: Value = serde_json::from_slice(payload).ok()?;
        (topic == "watchfire/t/camera/square/status" && status["state"] == "streaming").then_some(status)
    });
    let square = square.unwrap();
    // Three walk to the left across the line, at 1, 2 and 6 seconds, and then two to the right, at 9 and 11.
    for crossing in alerts
        .iter()
        .filter(|a| a["kind"] == "line_crossing" && a["phase"] == "start")
    {
        let at_s = seconds_between(&square["since"], &crossing["started_at"]);
        let way = match at_s {
            ..6.8 => "right_to_left",
            7.0..12.5 => "left_to_right",
            _ => continue,
        };
        assert_eq!(crossing["direction"], way, "at {at_s}");
    }
    assert!(!alerts.iter().any(|a| a["kind"] == "gunshot"), "nobody shot");

    every_alert_has_one_start_and_one_end(&alerts);
    // The snapshot is a file of the store and was published.
    let name = intrusion["snapshot"].as_str().expect("a snapshot");
    let jpeg = std::fs::read(house.state_dir().join("snapshots").join(name)).unwrap();
    assert_eq!(jpeg[..2], [0xFF, 0xD8]);
    assert!(
        house
            .heard
            .iter()
            .any(|(t, p)| t.ends_with("garden/snapshot/intrusion") && p[..2] == [0xFF, 0xD8])
    );
    assert!(house.heard.iter().any(|(t, _)| t.ends_with("garden/levels")));
}

fn anything_active(house: &House) -> bool {
    let last: BTreeMap<&str, bool> = house
        .heard
        .iter()
        .filter(|(topic, _)| topic.contains("/active/"))
        .map(|(topic, payload)| (topic.as_str(), payload == b"ON"))
        .collect();
    last.values().any(|on| *on)
}

/// The ids of alerts whose `end` was not heard yet.
fn open_alerts(house: &House) -> BTreeSet<String> {
    let mut open = BTreeSet::new();
    for (_, payload) in house.heard.iter().filter(|(topic, _)| topic.contains("/alert/")) {
        let alert: Value = serde_json::from_slice(payload).unwrap();
        let id = alert["id"].as_str().unwrap().to_owned();
        if alert["phase"] == "end" {
            open.remove(&id);
        } else {
            open.insert(id);
        }
    }
    open
}

fn every_alert_has_one_start_and_one_end(alerts: &[Value]) {
    let mut lives: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for alert in alerts {
        lives.entry(alert["id"].as_str().unwrap()).or_default().push(alert);
    }
    for (id, life) in lives {
        let phases: Vec<&str> = life.iter().map(|a| a["phase"].as_str().unwrap()).collect();
        let updates = phases.len().saturating_sub(2);
        assert_eq!(phases[0], "start", "{id}");
        assert_eq!(phases.last(), Some(&"end"), "{id} {phases:?}");
        assert!(phases[1..=updates].iter().all(|p| *p == "update"), "{id} {phases:?}");
        for (i, alert) in life.iter().enumerate() {
            assert_eq!(alert["seq"], i, "{id}");
        }
    }
}

/// Validates everything JSON that was heard; raw words and pictures are checked by their topic.
pub fn every_payload_fits_its_schema(house: &House) {
    let schemas = watchfire::publish::payload::schemas();
    let validator = |name: &str| {
        let (_, schema) = schemas
            .iter()
            .find(|(n, _)| n.contains(name))
            .unwrap_or_else(|| panic!("no schema {name}"));
        jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
    };
    let by_topic = [
        ("/alert/", validator("alert")),
        ("/levels", validator("levels")),
        ("/emotion", validator("emotion")),
        ("/status", validator("camera")),
    ];
    let box_status = validator("box");
    for (topic, payload) in house.heard.iter().filter(|(_, p)| !p.is_empty()) {
        if topic == "homeassistant/status" || topic.contains("/command/") {
            // Not ours: somebody speaks to us.
            continue;
        }
        if topic.contains("/active/") {
            assert!(payload == b"ON" || payload == b"OFF", "{topic}");
            continue;
        }
        let found = if topic.contains("/box/") && topic.ends_with("/status") {
            Some(&box_status)
        } else {
            by_topic.iter().find(|(part, _)| topic.contains(part)).map(|(_, v)| v)
        };
        if let Some(validator) = found {
            let value: Value = serde_json::from_slice(payload).unwrap();
            let errors: Vec<String> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{topic}: {errors:?} in {value}");
        } else {
            let discovery = topic.starts_with("homeassistant/device/")
                && serde_json::from_slice::<Value>(payload).is_ok_and(|v| v["components"].is_object());
            assert!(
                topic.ends_with("/available") || topic.contains("/snapshot/") || discovery,
                "unknown topic {topic}"
            );
        }
    }
}
