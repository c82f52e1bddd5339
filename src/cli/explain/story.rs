//! An alert's account in words. Pure.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::app::words::counted;
use crate::fusion::{logit, sigmoid};
use crate::publish::payload::{AlertPayload, EvidencePayload};

/// Width of the bars.
const BAR: usize = 24;
/// An alert of hours has thousands of updates: of more than so many only the first and the last are told, and those that changed something.
const MANY: usize = 8;
const ENDS: usize = 3;

/// `life`: the messages of one alert, oldest first, at least one. `needs`: what the configuration asks for.
pub(super) fn tell(life: &[AlertPayload], needs: Option<&[String]>) -> String {
    let (first, last) = (&life[0], &life[life.len() - 1]);
    let mut out = String::new();
    let _ = headline(&mut out, life, last);
    // Messages carry the evidence of the surest moment until then: the first one has what it was told on.
    if first.seq == 0 && first.evidence != last.evidence {
        let _ = why(&mut out, "Why it was told", first);
        let _ = why(&mut out, "At its surest", last);
    } else {
        let _ = why(&mut out, "Why", last);
    }
    let _ = witnesses(&mut out, last);
    let _ = faces(&mut out, last);
    let _ = tracks(&mut out, life, last);
    let _ = lifetime(&mut out, life, first, last);
    if let Some(needs) = needs {
        let _ = writeln!(out, "\nWhat the configuration asks for now");
        for need in needs {
            let _ = writeln!(out, "  {need}");
        }
    }
    out
}

fn headline(out: &mut String, life: &[AlertPayload], a: &AlertPayload) -> std::fmt::Result {
    let place = a.zone.as_ref().map_or(String::new(), |z| format!(" at {z}"));
    let way = a
        .direction
        .as_ref()
        .map_or(String::new(), |d| format!(", {}", d.replace('_', " ")));
    let what = what(life, a).map_or(String::new(), |what| format!(" ({what})"));
    writeln!(
        out,
        "{}{place}{way}: {}, score {:.2}{what}",
        a.kind, a.severity, a.score
    )?;
    writeln!(
        out,
        "camera {} of {} on {}, alert {}",
        a.camera, a.site, a.box_name, a.id
    )?;
    if a.suppressed > 0 {
        let alerts = counted(a.suppressed as usize, "alert");
        writeln!(
            out,
            "it stands for {alerts}, more than max_per_hour; its evidence is that of the surest"
        )?;
    }
    if let Some(source) = &a.source {
        writeln!(out, "found in {source}")?;
    }
    if let Some(snapshot) = &a.snapshot {
        writeln!(out, "snapshot {snapshot}")?;
    }
    Ok(())
}

/// What the kind alone does not say: how many are a crowd, and what a rule saw.
fn what(life: &[AlertPayload], a: &AlertPayload) -> Option<String> {
    if a.kind == "crowd" {
        let now = a.tracks.len();
        return Some(match life {
            [_] => format!("{now} at once"),
            _ => format!("{now} when last told, at most {} at once", most(life)),
        });
    }
    let rule = format!("rule:{}", a.kind);
    let own = a.evidence.iter().find(|e| e.model == rule && e.label != a.kind);
    own.map(|e| e.label.clone())
}

/// The greatest number of tracks that one message names.
fn most(life: &[AlertPayload]) -> usize {
    life.iter().map(|m| m.tracks.len()).max().unwrap_or(0)
}

/// Prior, contributions and sum, in log-odds and as probabilities, in the order of time.
fn why(out: &mut String, title: &str, a: &AlertPayload) -> std::fmt::Result {
    if a.evidence.is_empty() {
        return writeln!(out, "\nIt carries no evidence.");
    }
    let total: f64 = a.evidence.iter().map(|e| e.contribution).sum();
    let end = f64::from(logit(a.score as f32));
    // Older alerts do not carry it.
    let prior = a.prior.map_or(end - total, |p| f64::from(logit(p as f32)));
    writeln!(out, "\n{title} (log-odds; 0 is as likely as not)")?;
    writeln!(
        out,
        "  {prior:+6.2}  before any evidence: {:.0} %",
        100.0 * sigmoid(prior as f32)
    )?;
    let mut evidence: Vec<&EvidencePayload> = a.evidence.iter().collect();
    evidence.sort_by(|a, b| a.at.cmp(&b.at));
    let names: Vec<String> = evidence
        .iter()
        .map(|e| format!("{} “{}” by {}", e.modality, e.label, e.model))
        .collect();
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
    for (e, name) in evidence.iter().zip(&names) {
        let full = (e.share * BAR as f64).round() as usize;
        writeln!(
            out,
            "  {:+6.2}  {name:width$}  score {:.2}  {:9}  {:BAR$}  {:3.0} % of the weight, {}",
            e.contribution,
            e.score,
            since(&a.started_at, &e.at),
            "█".repeat(full.min(BAR)),
            100.0 * e.share,
            if e.contribution >= 0.0 { "for it" } else { "against it" },
        )?;
    }
    writeln!(out, "  {end:+6.2}  together: {:.0} %", 100.0 * a.score)?;
    if let Some(odds) = astray(a) {
        writeln!(
            out,
            "  it does not add up: prior and contributions come to {odds:+.2}, {:.0} %; Watchfire did not tell it like this",
            100.0 * sigmoid(odds as f32)
        )?;
    }
    Ok(())
}

/// What kind of witnesses they are.
fn witnesses(out: &mut String, a: &AlertPayload) -> std::fmt::Result {
    if a.evidence.iter().any(|e| e.model.starts_with("rule:")) {
        writeln!(out, "  what a rule says is a judgement, not a measured probability")?;
    }
    if a.evidence.len() == 1 && a.tracks.len() > 1 && !a.evidence[0].model.starts_with("rule:") {
        writeln!(
            out,
            "  the surest of {} speaks for all: several boxes of one model are one witness",
            people(a)
        )?;
    }
    Ok(())
}

/// What prior and contributions come to in log-odds, where that cannot be the score, however each number of the message was rounded.
fn astray(a: &AlertPayload) -> Option<f64> {
    // Half of the last of four decimals (`publish::payload::rounded`).
    const ROUNDED: f64 = 0.5e-4;
    // Of sums and exponentials in single precision.
    const SLACK: f64 = 0.02;
    let prior = a.prior?;
    let total: f64 = a.evidence.iter().map(|e| e.contribution).sum();
    let prior_odds = |p: f64| f64::from(logit(p as f32));
    // A score is not kept off 0 and 1 as a prior is: one that is told as 1 may be as sure as it likes.
    let score_odds = |p: f64| {
        let p = p.clamp(0.0, 1.0);
        (p / (1.0 - p)).ln()
    };
    let slack = SLACK + ROUNDED * a.evidence.len() as f64;
    let least = prior_odds(prior - ROUNDED) + total - slack;
    let most = prior_odds(prior + ROUNDED) + total + slack;
    let fits = least <= score_odds(a.score + ROUNDED) && most >= score_odds(a.score - ROUNDED);
    (!fits).then(|| prior_odds(prior) + total)
}

/// Only of cameras that have opted in.
fn faces(out: &mut String, a: &AlertPayload) -> std::fmt::Result {
    let Some(emotion) = a.emotion.as_ref().filter(|e| !e.is_empty()) else {
        return Ok(());
    };
    let mut labels: Vec<_> = emotion.iter().collect();
    labels.sort_by(|a, b| b.1.total_cmp(a.1));
    let labels: Vec<String> = labels
        .iter()
        .map(|(l, p)| format!("{l} {:.0} %", 100.0 * **p))
        .collect();
    writeln!(out, "\nWhat the faces seem to express\n  {}", labels.join(", "))
}

fn tracks(out: &mut String, life: &[AlertPayload], a: &AlertPayload) -> std::fmt::Result {
    if a.tracks.is_empty() {
        return Ok(());
    }
    let last = if life.len() > 1 { ", as last told" } else { "" };
    writeln!(out, "\nWho took part{last}")?;
    for t in &a.tracks {
        let [x1, y1, x2, y2] = t.bbox;
        // What no track follows has no number.
        let id = if t.id == 0 { String::new() } else { format!(" {}", t.id) };
        writeln!(
            out,
            "  {}{id}, score {:.2}: {:.0} % of the picture's width and {:.0} % of its height, standing at {:.0} % from the left, \
             {:.0} % from the top",
            t.class,
            t.score,
            100.0 * (x2 - x1),
            100.0 * (y2 - y1),
            50.0 * (x1 + x2),
            100.0 * y2
        )?;
    }
    let all: BTreeSet<u64> = life.iter().flat_map(|m| &m.tracks).map(|t| t.id).collect();
    if all.len() > a.tracks.len() {
        let most = most(life);
        writeln!(
            out,
            "  over its life {} tracks, at most {most} in one message",
            all.len()
        )?;
    }
    Ok(())
}

fn lifetime(out: &mut String, life: &[AlertPayload], first: &AlertPayload, last: &AlertPayload) -> std::fmt::Result {
    writeln!(out, "\nIts life")?;
    writeln!(out, "  {}  began", first.started_at)?;
    if first.seq == 0 && first.updated_at != first.started_at {
        let after = since(&first.started_at, &first.updated_at);
        writeln!(out, "  {}  told: score {:.2} ({after})", first.updated_at, first.score)?;
    }
    updates(out, life, first)?;
    match (&last.ended_at, &last.end_reason) {
        (Some(at), reason) => {
            let reason = reason.as_deref().unwrap_or("unknown");
            writeln!(
                out,
                "  {at}  its evidence ended ({}); {}",
                since(&last.started_at, at),
                meaning(reason)
            )?;
            writeln!(
                out,
                "  {}  that was judged so; messages: {}",
                last.updated_at,
                last.seq + 1
            )
        }
        (None, _) => writeln!(out, "  {}  last heard of; still open then", last.updated_at),
    }
}

fn updates(out: &mut String, life: &[AlertPayload], first: &AlertPayload) -> std::fmt::Result {
    let all: Vec<&AlertPayload> = life.iter().filter(|m| m.phase == "update").collect();
    let mut severity = &first.severity;
    let mut skipped: Vec<&AlertPayload> = Vec::new();
    for (i, m) in all.iter().enumerate() {
        let rises = m.severity != *severity;
        severity = &m.severity;
        if all.len() > MANY && i >= ENDS && i + ENDS < all.len() && !rises {
            skipped.push(m);
            continue;
        }
        between(out, &skipped)?;
        skipped.clear();
        let who = if m.tracks.is_empty() {
            String::new()
        } else {
            format!(", {}", people(m))
        };
        let now = if rises {
            format!(", now {severity}")
        } else {
            String::new()
        };
        let after = since(&m.started_at, &m.updated_at);
        writeln!(
            out,
            "  {}  updated: score {:.2}{who}{now} ({after})",
            m.updated_at, m.score
        )?;
    }
    Ok(())
}

/// Updates that are not told one by one.
fn between(out: &mut String, skipped: &[&AlertPayload]) -> std::fmt::Result {
    let scores = skipped.iter().map(|m| m.score);
    let (Some(low), Some(high)) = (scores.clone().reduce(f64::min), scores.reduce(f64::max)) else {
        return Ok(());
    };
    let sizes = skipped.iter().map(|m| m.tracks.len());
    let (few, many) = (sizes.clone().min().unwrap_or(0), sizes.max().unwrap_or(0));
    let range = |low: String, high: String| if low == high { low } else { format!("{low} to {high}") };
    let score = range(format!("{low:.2}"), format!("{high:.2}"));
    let who = if many > 0 {
        format!(", tracks {}", range(few.to_string(), many.to_string()))
    } else {
        String::new()
    };
    let updates = counted(skipped.len(), "more update");
    writeln!(out, "  … {updates}: score {score}{who}")
}

fn people(a: &AlertPayload) -> String {
    counted(a.tracks.len(), "track")
}

fn meaning(reason: &str) -> String {
    match reason {
        "cleared" => "nothing more was found for hold_s, or the hours of `active` ended (cleared)".into(),
        "camera_lost" => "the camera was lost (camera_lost)".into(),
        "reload" => "the camera's rules were changed (reload)".into(),
        "restart" => "Watchfire had stopped without ending it (restart)".into(),
        "shutdown" => "Watchfire was stopped (shutdown)".into(),
        "eof" => "the recording ended (eof)".into(),
        other => format!("reason: {other}"),
    }
}

/// `+1.2 s`
fn since(start: &str, at: &str) -> String {
    let parse = |t: &str| t.parse::<jiff::Timestamp>().ok();
    match (parse(start), parse(at)) {
        (Some(start), Some(at)) => {
            let ms = at.as_millisecond() - start.as_millisecond();
            format!("{:+.1} s", ms as f64 / 1e3)
        }
        _ => "at an unknown time".into(),
    }
}

#[cfg(test)]
mod tests;
