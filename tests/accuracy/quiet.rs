//! Longer recordings on which nothing happens.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::Place;
use crate::rates::an_hour;
use crate::run::replay;

/// What is there, told without a verdict, and what is not.
const THERE: [&str; 3] = ["intrusion", "loitering", "crowd"];
const NOT_THERE: [&str; 5] = ["running", "fall", "fight", "left_or_taken", "tamper"];

/// None of them has sound. `wrong_way` needs an allowed way, and `anomaly` days of learning: neither could fire here.
pub fn recordings(place: &Place) -> String {
    let footage = place.footage();
    let intel = |name: &str| place.data.join("intel").join(name);
    // What leaves or enters the tables and the square for seconds must be found within the recording.
    let camera = format!(
        "kinds = [{}]\ndetect = [\"person\", \"bicycle\", \"car\", \"motorcycle\", \"bus\", \"truck\"]\n\
         [[camera.zone]]\nname = \"picture\"\npolygon = [[0, 0], [1, 0], [1, 1], [0, 1]]\nkinds = [\"intrusion\", \"loitering\", \"crowd\"]\n\
         [[camera.rule]]\nkind = \"left_or_taken\"\nmin_s = 20\n",
        [&THERE[..], &NOT_THERE]
            .concat()
            .iter()
            .map(|k| format!("{k:?}"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let mut out = "## Nothing happens: the longer recordings with every kind that can fire on them\n\n\
        People walk, stand and sit, cars pass; nobody falls, fights, runs, leaves a thing or touches the camera. The whole picture is a zone, and \
        a thing would be told after 20 s.\n\n"
        .to_owned();
    let _ = writeln!(out, "| recording | {} |", [&THERE[..], &NOT_THERE].concat().join(" | "));
    out += &format!("|---|{}\n", "---|".repeat(THERE.len() + NOT_THERE.len()));
    let (mut false_ones, mut seconds) = (Vec::new(), 0.0);
    for (name, lasts_s, file) in [
        ("square (vtest), 80 s", 79.5, footage),
        (
            "six persons (intel), 136 s",
            136.0,
            intel("one-by-one-person-detection.mp4"),
        ),
        ("cars (intel), 28 s", 28.0, intel("car-detection.mp4")),
    ] {
        if !file.exists() {
            let _ = writeln!(out, "| {name}: it was not there (`make media`) |");
            continue;
        }
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for a in replay(place, &file, Some(&camera), &[]) {
            let words = format!("{:.0} to {:.0} s ({:.2})", a.start_s, a.end_s, a.score);
            if NOT_THERE.contains(&a.kind.as_str()) {
                false_ones.push(format!("{} in {name}", a.kind));
            }
            told.entry(a.kind).or_default().push(words);
        }
        seconds += lasts_s;
        let cell = |kind: &&str| told.get(*kind).map_or("–".to_owned(), |all| all.join(", "));
        let cells: Vec<String> = THERE.iter().chain(&NOT_THERE).map(cell).collect();
        let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
    }
    let _ = writeln!(
        out,
        "\nFalse alarms ({}): {}{}.",
        NOT_THERE.join(", "),
        an_hour(false_ones.len(), seconds),
        if false_ones.is_empty() {
            String::new()
        } else {
            format!(" ({})", false_ones.join(", "))
        }
    );
    out
}
