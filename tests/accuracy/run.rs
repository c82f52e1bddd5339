//! One recording through `watchfire replay`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::Place;

/// An alert from its start to its end, in seconds from the recording's first frame.
#[derive(Debug, Clone)]
pub struct Alert {
    pub kind: String,
    pub direction: String,
    /// Of its first evidence.
    pub label: String,
    pub score: f64,
    pub start_s: f64,
    /// When its first message was made.
    pub told_s: f64,
    pub end_s: f64,
}

/// The kinds that this build knows among `wanted`.
pub fn known(place: &Place, wanted: &[&str]) -> Vec<String> {
    let schema = std::fs::read_to_string(place.root.join("src/data/evidence.rs")).unwrap();
    let known = |kind: &&&str| schema.contains(&format!("= \"{kind}\""));
    wanted.iter().filter(known).map(ToString::to_string).collect()
}

/// `camera`: the tables of `[[camera]]` beside id and url, as TOML. Without it the default camera with these kinds.
pub fn replay(place: &Place, file: &Path, camera: Option<&str>, kinds: &[String]) -> Vec<Alert> {
    let (config, events) = (place.work.path().join("w.toml"), place.work.path().join("events.jsonl"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
    command.arg("replay").arg(file).arg("--events").arg(&events);
    match camera {
        Some(tables) => {
            let models = place.root.join("models");
            let text = format!(
                "[site]\nname = \"accuracy\"\n[models]\ndir = {models:?}\n[state]\ndir = {:?}\n[[camera]]\nid = \"c\"\n\
                 url = \"file://{}\"\n{tables}",
                place.work.path(),
                file.display()
            );
            std::fs::write(&config, text).unwrap();
            command.arg("--config").arg(&config);
        }
        None => {
            command.arg("--models").arg(place.root.join("models"));
            command.arg("--kinds").arg(kinds.join(","));
        }
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", file.display());
    let mut alerts: Vec<(String, Alert)> = Vec::new();
    for line in std::fs::read_to_string(&events).unwrap().lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
        let alert = Alert {
            kind: text("kind"),
            direction: text("direction"),
            label: message["evidence"][0]["label"].as_str().unwrap_or_default().to_owned(),
            score: message["score"].as_f64().unwrap(),
            start_s: seconds(&text("started_at")),
            told_s: seconds(&text("updated_at")),
            end_s: seconds(&text(if message["ended_at"].is_null() {
                "updated_at"
            } else {
                "ended_at"
            })),
        };
        match alerts.iter_mut().find(|(id, _)| *id == text("id")) {
            Some((_, known)) => {
                *known = Alert {
                    told_s: known.told_s,
                    ..alert
                }
            }
            None => alerts.push((text("id"), alert)),
        }
    }
    alerts.into_iter().map(|(_, alert)| alert).collect()
}

fn seconds(time: &str) -> f64 {
    time.parse::<jiff::Timestamp>().unwrap().as_millisecond() as f64 / 1e3
}

/// Rows of a CSV file with a header.
pub fn rows(path: &Path) -> Vec<std::collections::BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader.deserialize().collect::<Result<_, _>>().unwrap()
}
