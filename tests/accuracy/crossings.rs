//! People and cars that cross a line, one by one.

use std::fmt::Write;

use crate::Place;
use crate::rates::{an_hour, share};
use crate::run::{Alert, replay, rows};

/// Six people come in at the bottom, stand at a table and leave to the right.
pub fn persons(place: &Place) -> String {
    let camera = "kinds = [\"line_crossing\"]\n[[camera.line]]\nname = \"exit\"\nfrom = [0.8, 1.0]\nto = [0.8, 0.0]\n";
    // They are gone within two seconds of the line.
    let truth = truth(
        place,
        "one-by-one-person-detection.mp4",
        "end_s",
        -1.5,
        |_| "left_to_right",
    );
    let crossings = section(
        place,
        "Six people, one at a time",
        "A vertical line at 0.8 of the width, upwards; each person crosses it from left to right on the way out. `intel/truth.csv` has \
         when each leaves the picture; the line is taken to be crossed a second and a half before that.",
        ", about",
        ("one-by-one-person-detection.mp4", camera),
        &truth,
    );
    crossings + &presence(place)
}

/// When an intrusion into the whole picture is told of each of the six.
fn presence(place: &Place) -> String {
    const VIDEO: &str = "one-by-one-person-detection.mp4";
    let camera =
        "kinds = [\"intrusion\"]\n[[camera.zone]]\nname = \"picture\"\npolygon = [[0, 0], [1, 0], [1, 1], [0, 1]]\n";
    let alerts = replay(place, &place.data.join("intel").join(VIDEO), Some(camera), &[]);
    let number = |text: &str| text.parse::<f64>().unwrap();
    let all = rows(&place.data.join("intel/truth.csv"));
    let mut told = Vec::new();
    let mut known = 0;
    for row in all.iter().filter(|r| r["video"] == VIDEO) {
        let (comes_s, goes_s) = (number(&row["start_s"]), number(&row["end_s"]));
        let of = alerts.iter().find(|a| a.told_s < goes_s && a.end_s > comes_s);
        known += usize::from(of.is_some());
        told.push(match of {
            Some(a) if a.told_s < comes_s => "the one before goes on".to_owned(),
            Some(a) => format!("{:.1} s", a.told_s - comes_s),
            None => "never".to_owned(),
        });
    }
    format!(
        "\nThe same recording with the whole picture as a zone: an `intrusion` is told of {}, so long after the first of them is in view: {}.\n",
        share(known, told.len()),
        told.join(", ")
    )
}

/// Four cars under a camera that looks straight down.
pub fn cars(place: &Place) -> String {
    let camera = "kinds = [\"line_crossing\"]\ndetect = [\"car\", \"bus\", \"truck\"]\n[[camera.line]]\nname = \"middle\"\nfrom = [0.0, 0.5]\n\
                  to = [1.0, 0.5]\nanchor = \"centre\"\nclasses = [\"car\", \"bus\", \"truck\"]\n";
    let way = |direction: &str| {
        if direction == "up" {
            "right_to_left"
        } else {
            "left_to_right"
        }
    };
    let truth = truth(place, "car-detection.mp4", "centre_at_midline_s", 0.0, way);
    section(
        place,
        "Four cars, seen from straight above",
        "A horizontal line at half of the height, to the right; up is right to left. Vehicles of any sort count: from above the \
         detector takes cars for trucks.",
        "",
        ("car-detection.mp4", camera),
        &truth,
    )
}

struct Crossing {
    at_s: f64,
    direction: String,
    seconds: f64,
}

fn truth(place: &Place, video: &str, column: &str, shift_s: f64, way: fn(&str) -> &'static str) -> Vec<Crossing> {
    let all = rows(&place.data.join("intel/truth.csv"));
    let number = |text: &str| text.parse::<f64>().unwrap();
    let last = all
        .iter()
        .filter(|r| r["video"] == video)
        .map(|r| number(&r["end_s"]))
        .fold(0.0, f64::max);
    all.iter()
        .filter(|r| r["video"] == video)
        .map(|r| Crossing {
            at_s: number(&r[column]) + shift_s,
            direction: way(&r["direction"]).to_owned(),
            seconds: last,
        })
        .collect()
}

/// A crossing is the nearest within two seconds and in its direction; each alert counts once.
fn section(
    place: &Place,
    title: &str,
    what: &str,
    about: &str,
    (video, camera): (&str, &str),
    truth: &[Crossing],
) -> String {
    let mut found: Vec<Alert> = replay(place, &place.data.join("intel").join(video), Some(camera), &[]);
    let alerts = found.len();
    let mut out = format!(
        "## {title}\n\n{what}\n\n| true crossing{about} | way | found | told | score |\n|---|---|---|---|---|\n"
    );
    let mut hits = 0;
    for crossing in truth {
        let near =
            |a: &&(usize, &Alert)| a.1.direction == crossing.direction && (a.1.start_s - crossing.at_s).abs() <= 2.0;
        let listed: Vec<(usize, &Alert)> = found.iter().enumerate().collect();
        let best = listed.iter().filter(near).min_by(|a, b| {
            let off = |x: &(usize, &Alert)| (x.1.start_s - crossing.at_s).abs();
            off(a).total_cmp(&off(b))
        });
        let _ = match best.map(|(i, _)| *i) {
            Some(i) => {
                hits += 1;
                let a = found.remove(i);
                writeln!(
                    out,
                    "| {:.1} s | {} | {:.1} s | {:.1} s | {:.2} |",
                    crossing.at_s, a.direction, a.start_s, a.told_s, a.score
                )
            }
            None => writeln!(out, "| {:.1} s | {} | missed | | |", crossing.at_s, crossing.direction),
        };
    }
    let seconds = truth.first().map_or(1.0, |c| c.seconds);
    let _ = writeln!(
        out,
        "\nFound with the right direction: {}. Alerts in all: {alerts}; false ones: {}.",
        share(hits, truth.len()),
        an_hour(found.len(), seconds)
    );
    out
}
