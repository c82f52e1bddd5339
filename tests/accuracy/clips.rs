//! Short clips of which the whole is one thing or another.

use std::fmt::Write;

use crate::run::{Alert, known, replay, rows};
use crate::{Place, share};

/// Kinds that nothing in these clips should raise.
const NEVER: [&str; 6] = ["gunshot", "explosion", "glass_break", "siren", "wrong_way", "tamper"];

pub fn falls(place: &Place) -> String {
    let mut out = "## Falls and daily life, one person indoors\n\n".to_owned();
    if known(place, &["fall"]).is_empty() {
        return out + "This version has no rule for falls.\n";
    }
    let mut kinds = known(place, &NEVER);
    kinds.push("fall".into());
    out += "| clip | what | alert | seconds after the fall began | score |\n|---|---|---|---|---|\n";
    let (mut hits, mut falls, mut false_ones, mut daily, mut seconds, mut others) = (0, 0, 0, 0, 0.0, 0);
    for row in rows(&place.data.join("falls/labels.csv")) {
        let alerts = replay(place, &place.data.join("falls").join(&row["file"]), None, &kinds);
        let fall: Option<&Alert> = alerts.iter().find(|a| a.kind == "fall");
        others += alerts.iter().filter(|a| a.kind != "fall").count();
        seconds += row["seconds"].parse::<f64>().unwrap();
        let is_fall = row["label"] == "fall";
        (falls, daily) = (falls + usize::from(is_fall), daily + usize::from(!is_fall));
        hits += usize::from(is_fall && fall.is_some());
        false_ones += usize::from(!is_fall && fall.is_some());
        let after = fall.zip(row["fall_start_s"].parse::<f64>().ok());
        let after = after.map_or(String::new(), |(a, start)| format!("{:.1}", a.start_s - start));
        let told = fall.map_or("none".into(), |a| format!("at {:.1} s", a.start_s));
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
        "\nFalls found: {}. Daily-life clips with a false one: {}. Alerts of other kinds that are not there: {others} in \
         {seconds:.0} s.",
        share(hits, falls),
        share(false_ones, daily)
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
    let (mut right, mut n, mut hits, mut fights, mut others, mut seconds) = ([0, 0], [0, 0], 0, 0, 0, 0.0);
    let (mut missed, mut wrong, mut delays) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows(&place.data.join("fights/labels.csv"))
        .into_iter()
        .filter(|r| r["split"] == "val")
    {
        let alerts = replay(place, &place.data.join("fights").join(&row["file"]), None, &kinds);
        let found = alerts.iter().find(|a| a.kind == "fight");
        others += alerts.iter().filter(|a| a.kind != "fight").count();
        seconds += row["seconds"].parse::<f64>().unwrap();
        let truth = row["label"] == "fight";
        let heard = row["mean_volume_dB"].parse::<f64>().is_ok_and(|v| v > -60.0);
        n[usize::from(heard)] += 1;
        right[usize::from(heard)] += usize::from(truth == found.is_some());
        fights += usize::from(truth);
        match (truth, found) {
            (true, Some(a)) => {
                hits += 1;
                delays.push(a.start_s);
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
         | fights found | {} |\n| false among the others | {} |\n| into the clip when half of them were told | {half} |\n\
         | alerts of kinds that are not there | {others} in {seconds:.0} s |\n\nMissed: {}. False: {}.",
        share(right[0] + right[1], all),
        share(right[1], n[1]),
        share(hits, fights),
        share(wrong.len(), all - fights),
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
