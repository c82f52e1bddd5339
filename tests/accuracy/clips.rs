//! Short clips of which the whole is one thing or another.

use std::fmt::Write;

use crate::Place;
use crate::rates::{an_hour, share};
use crate::run::{Alert, known, replay, rows};

/// Sounds that nothing in these clips makes. Whether somebody screams, runs or falls in a fight nobody has marked.
const NEVER: [&str; 4] = ["gunshot", "explosion", "glass_break", "siren"];
/// And what one person indoors does not do.
const NEVER_INDOORS: [&str; 5] = ["running", "fight", "scream", "baby_cry", "dog_bark"];

pub fn falls(place: &Place) -> String {
    let mut out = "## Falls and daily life, one person indoors\n\n".to_owned();
    if known(place, &["fall"]).is_empty() {
        return out + "This version has no rule for falls.\n";
    }
    let mut kinds = known(place, &[&NEVER[..], &NEVER_INDOORS].concat());
    kinds.push("fall".into());
    out += "| clip | what | alert | seconds after the fall began | score |\n|---|---|---|---|---|\n";
    let (mut hits, mut falls, mut false_ones, mut daily) = (0, 0, 0, 0);
    let (mut seconds, mut daily_s, mut others) = (0.0, 0.0, Vec::new());
    for row in rows(&place.data.join("falls/labels.csv")) {
        let alerts = replay(place, &place.data.join("falls").join(&row["file"]), None, &kinds);
        let fall: Option<&Alert> = alerts.iter().find(|a| a.kind == "fall");
        let lasts = row["seconds"].parse::<f64>().unwrap();
        let is_fall = row["label"] == "fall";
        others.extend(strange(&alerts, "fall", &row["file"]));
        seconds += lasts;
        daily_s += if is_fall { 0.0 } else { lasts };
        (falls, daily) = (falls + usize::from(is_fall), daily + usize::from(!is_fall));
        hits += usize::from(is_fall && fall.is_some());
        false_ones += usize::from(!is_fall && fall.is_some());
        let after = fall.zip(row["fall_start_s"].parse::<f64>().ok());
        let after = after.map_or(String::new(), |(a, start)| format!("{:.1}", a.told_s - start));
        let told = fall.map_or("none".into(), |a| format!("at {:.1} s", a.told_s));
        let score = fall.map_or(String::new(), |a| format!("{:.2}", a.score));
        let _ = writeln!(
            out,
            "| {} | {} | {told} | {after} | {score} |",
            row["file"],
            row["description"].replace('|', "/")
        );
    }
    let _ = writeln!(
        out,
        "\nFalls found: {}. Daily-life clips with a false one: {}; false falls {}. Alerts of {}, which are not there: {}{}.",
        share(hits, falls),
        share(false_ones, daily),
        an_hour(false_ones, daily_s),
        [&NEVER[..], &NEVER_INDOORS].concat().join(", "),
        an_hour(others.len(), seconds),
        named(&others)
    );
    out
}

pub fn fights(place: &Place) -> String {
    let mut out = "## Fights, clips of two seconds from cameras (the val part)\n\n".to_owned();
    if known(place, &["fight"]).is_empty() {
        return out + "This version has no model for fights.\n";
    }
    let mut kinds = known(place, &NEVER);
    kinds.push("fight".into());
    let (mut right, mut n, mut hits, mut fights) = ([0, 0], [0, 0], 0, 0);
    let (mut seconds, mut quiet_s) = (0.0, 0.0);
    let (mut missed, mut wrong, mut others, mut delays) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in rows(&place.data.join("fights/labels.csv"))
        .into_iter()
        .filter(|r| r["split"] == "val")
    {
        let alerts = replay(place, &place.data.join("fights").join(&row["file"]), None, &kinds);
        let found = alerts.iter().find(|a| a.kind == "fight");
        let lasts = row["seconds"].parse::<f64>().unwrap();
        let truth = row["label"] == "fight";
        others.extend(strange(&alerts, "fight", &row["file"]));
        seconds += lasts;
        quiet_s += if truth { 0.0 } else { lasts };
        let heard = row["mean_volume_dB"].parse::<f64>().is_ok_and(|v| v > -60.0);
        n[usize::from(heard)] += 1;
        right[usize::from(heard)] += usize::from(truth == found.is_some());
        fights += usize::from(truth);
        match (truth, found) {
            (true, Some(a)) => {
                hits += 1;
                delays.push(a.told_s);
            }
            (true, None) => missed.push(row["file"].clone()),
            (false, Some(_)) => wrong.push(row["file"].clone()),
            (false, None) => {}
        }
    }
    delays.sort_by(f64::total_cmp);
    let half = delays
        .get(delays.len() / 2)
        .map_or("none".into(), |s| format!("{s:.1} s"));
    let all = n[0] + n[1];
    let _ = writeln!(
        out,
        "An alert of kind `fight` within the clip counts as fight.\n\n| | |\n|---|---|\n| right | {} |\n| right, clips with real sound | {} |\n\
         | fights found | {} |\n| false among the others | {} |\n| false ones, of such clips one after the other | {} |\n| into the clip when half of them were told | {half} |\n\
         | alerts of {}, which are not there | {}{} |\n\nMissed: {}. False: {}.",
        share(right[0] + right[1], all),
        share(right[1], n[1]),
        share(hits, fights),
        share(wrong.len(), all - fights),
        an_hour(wrong.len(), quiet_s),
        NEVER.join(", "),
        an_hour(others.len(), seconds),
        named(&others),
        listed(&missed),
        listed(&wrong)
    );
    out
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}

/// The alerts of other kinds than the clip is about: kind, score and file.
fn strange(alerts: &[Alert], kind: &str, file: &str) -> Vec<String> {
    let others = alerts.iter().filter(|a| a.kind != kind);
    others.map(|a| format!("{} {:.2} in {file}", a.kind, a.score)).collect()
}

/// In brackets, where there are any.
fn named(what: &[String]) -> String {
    if what.is_empty() {
        String::new()
    } else {
        format!(" ({})", what.join(", "))
    }
}
