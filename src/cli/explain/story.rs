//! An alert's account in words. Pure.

use std::fmt::Write;

use crate::fusion::{logit, sigmoid};
use crate::publish::payload::{AlertPayload, EvidencePayload};

/// Width of the bars.
const BAR: usize = 24;

/// `life`: the messages of one alert, oldest first, at least one. `needs`: what the configuration asks for.
pub(super) fn tell(life: &[AlertPayload], needs: Option<&[String]>) -> String {
    let (first, last) = (&life[0], &life[life.len() - 1]);
    let mut out = String::new();
    let _ = headline(&mut out, last);
    let _ = why(&mut out, last);
    let _ = tracks(&mut out, last);
    let _ = lifetime(&mut out, life, first, last);
    if let Some(needs) = needs {
        let _ = writeln!(out, "\nWhat the configuration asks for now");
        for need in needs {
            let _ = writeln!(out, "  {need}");
        }
    }
    out
}

fn headline(out: &mut String, a: &AlertPayload) -> std::fmt::Result {
    let place = a.zone.as_ref().map_or(String::new(), |z| format!(" at {z}"));
    let way = a
        .direction
        .as_ref()
        .map_or(String::new(), |d| format!(", {}", d.replace('_', " ")));
    writeln!(out, "{}{place}{way}: {}, score {:.2}", a.kind, a.severity, a.score)?;
    writeln!(
        out,
        "camera {} of {} on {}, alert {}",
        a.camera, a.site, a.box_name, a.id
    )?;
    if a.suppressed > 0 {
        let n = a.suppressed;
        writeln!(
            out,
            "it stands for {n} alerts, more than max_per_hour; its evidence is that of the surest"
        )?;
    }
    if let Some(source) = &a.source {
        writeln!(out, "found in {source}")?;
    }
    Ok(())
}

/// Prior, contributions and sum, in log-odds and as probabilities, in the order of time.
fn why(out: &mut String, a: &AlertPayload) -> std::fmt::Result {
    if a.evidence.is_empty() {
        return writeln!(out, "\nIt carries no evidence.");
    }
    let total: f64 = a.evidence.iter().map(|e| e.contribution).sum();
    let end = f64::from(logit(a.score as f32));
    // Older alerts do not carry it.
    let prior = a.prior.map_or(end - total, |p| f64::from(logit(p as f32)));
    writeln!(out, "\nWhy (log-odds; 0 is as likely as not)")?;
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
    writeln!(out, "  {end:+6.2}  together: {:.0} %", 100.0 * a.score)
}

fn tracks(out: &mut String, a: &AlertPayload) -> std::fmt::Result {
    if a.tracks.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nWho took part")?;
    for t in &a.tracks {
        let [x1, y1, x2, y2] = t.bbox;
        writeln!(
            out,
            "  {} {}, score {:.2}: {:.0} % of the picture's width and {:.0} % of its height, standing at {:.0} % from the left, \
             {:.0} % from the top",
            t.class,
            t.id,
            t.score,
            100.0 * (x2 - x1),
            100.0 * (y2 - y1),
            50.0 * (x1 + x2),
            100.0 * y2
        )?;
    }
    Ok(())
}

fn lifetime(out: &mut String, life: &[AlertPayload], first: &AlertPayload, last: &AlertPayload) -> std::fmt::Result {
    writeln!(out, "\nIts life")?;
    writeln!(out, "  {}  began", first.started_at)?;
    if first.seq == 0 && first.updated_at != first.started_at {
        let after = since(&first.started_at, &first.updated_at);
        writeln!(out, "  {}  told ({after})", first.updated_at)?;
    }
    for m in life.iter().filter(|m| m.phase == "update") {
        writeln!(
            out,
            "  {}  updated: score {:.2}, {} ({})",
            m.updated_at,
            m.score,
            people(m),
            since(&m.started_at, &m.updated_at)
        )?;
    }
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

fn people(a: &AlertPayload) -> String {
    match a.tracks.len() {
        1 => "1 track".into(),
        n => format!("{n} tracks"),
    }
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
mod tests {
    use serde_json::json;

    use super::*;

    fn message(seq: u32, phase: &str, score: f64) -> AlertPayload {
        let ended = (phase == "end").then_some("1970-01-01T00:00:09.000Z");
        serde_json::from_value(json!({
            "schema": "watchfire.alert/1", "id": "01J", "seq": seq, "phase": phase, "site": "s", "box": "b",
            "camera": "yard", "kind": "fight", "severity": "critical", "score": score,
            "started_at": "1970-01-01T00:00:05.000Z", "updated_at": "1970-01-01T00:00:07.500Z", "ended_at": ended,
            "end_reason": ended.map(|_| "cleared"), "zone": null, "direction": null,
            "tracks": [{"id": 4, "class": "person", "score": 0.9, "bbox": [0.1, 0.2, 0.3, 0.8]}], "emotion": null,
            "evidence": [
                {"modality": "audio", "model": "sound@1", "label": "scream", "score": 0.2, "contribution": -0.5,
                 "share": 0.2, "at": "1970-01-01T00:00:06.000Z"},
                {"modality": "video", "model": "action@1", "label": "fight", "score": 0.9, "contribution": 2.0,
                 "share": 0.8, "at": "1970-01-01T00:00:05.000Z"}],
            "snapshot": null, "clip": null}))
        .unwrap()
    }

    #[test]
    fn prior_and_contributions_add_up_to_the_score_in_the_order_of_time() {
        // logit(0.6) = 0.405 = -1.095 + 2.0 - 0.5
        let text = tell(&[message(0, "start", 0.6), message(1, "end", 0.6)], None);
        let at = |part: &str| {
            text.find(part)
                .unwrap_or_else(|| panic!("{part:?} is missing in\n{text}"))
        };
        assert!(at("-1.09  before any evidence: 25 %") < at("+2.00  video “fight” by action@1"));
        assert!(at("video “fight”") < at("-0.50  audio “scream”"));
        assert!(at("against it") < at("+0.41  together: 60 %"));
        assert!(text.contains("(+4.0 s); nothing more was found for hold_s"));
        assert!(text.contains("20 % of the picture's width"));
    }

    #[test]
    fn an_open_alert_says_so_and_updates_are_listed() {
        let text = tell(
            &[message(0, "start", 0.6), message(1, "update", 0.8)],
            Some(&["threshold 0.5".into()]),
        );
        assert!(text.contains("updated: score 0.80, 1 track (+2.5 s)"), "{text}");
        assert!(text.contains("still open then") && text.contains("threshold 0.5"));
    }
}
