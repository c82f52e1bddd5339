//! A busy square on which nothing happens.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::Place;
use crate::rates::an_hour;
use crate::run::{known, replay};

/// `vtest.avi`: 79.5 s of people walking, without sound.
pub fn street(place: &Place) -> String {
    let mut out = "## People walking (OpenCV's vtest.avi, 79.5 s, no sound)\n\n".to_owned();
    let footage =
        std::env::var_os("WATCHFIRE_FOOTAGE").map_or_else(|| place.root.join(".cache/media/vtest.avi"), Into::into);
    if !footage.exists() {
        return out + "The recording was not there (`make media`).\n";
    }
    let kinds = known(
        place,
        &[
            "intrusion",
            "loitering",
            "crowd",
            "running",
            "fall",
            "wrong_way",
            "fight",
            "left_or_taken",
            "tamper",
            "anomaly",
        ],
    );
    let mut told: BTreeMap<String, Vec<String>> = kinds.iter().map(|k| (k.clone(), Vec::new())).collect();
    for a in replay(place, &footage, None, &kinds) {
        let words = format!("{:.0} to {:.0} s ({:.2})", a.start_s, a.end_s, a.score);
        told.entry(a.kind).or_default().push(words);
    }
    out += "Nobody falls, fights or runs here and nobody touches the camera; people are in the picture all the time.\n\n\
            | kind | alerts | when (score) |\n|---|---|---|\n";
    let mut false_ones = 0;
    for (kind, alerts) in &told {
        if !["intrusion", "loitering", "crowd", "anomaly"].contains(&kind.as_str()) {
            false_ones += alerts.len();
        }
        let _ = writeln!(out, "| {kind} | {} | {} |", alerts.len(), alerts.join(", "));
    }
    let _ = writeln!(
        out,
        "\nFalse alarms (running, fall, wrong_way, fight, left_or_taken, tamper): {}.",
        an_hour(false_ones, 79.5)
    );
    out
}
