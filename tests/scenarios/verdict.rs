//! Holds what came against what the story says.

use watchfire::data::{Alert, Phase};
use watchfire::fusion::{logit, sigmoid};

use super::story::{Expect, Story};

/// What is wrong, one sentence each; nothing when all is as written.
pub fn judge(story: &Story, alerts: &[Alert]) -> Vec<String> {
    let starts: Vec<&Alert> = alerts.iter().filter(|a| a.phase == Phase::Start).collect();
    let came = || format!("; what came:{}", told(&starts));
    let mut wrong = Vec::new();
    for expect in &story.expect {
        let got: Vec<&&Alert> = starts.iter().filter(|a| is_meant(expect, a)).collect();
        if got.len() != expect.count {
            wrong.push(format!(
                "{} instead of {} of {}{}",
                got.len(),
                expect.count,
                name(expect),
                came()
            ));
        }
        for start in got {
            wrong.extend(life(expect, start, alerts).map(|why| format!("{}: {why}", name(expect))));
        }
    }
    wrong.extend(alerts.iter().filter_map(account));
    for alert in &starts {
        let forbidden = story.forbid.iter().any(|f| {
            f.kind.as_ref().is_none_or(|k| k == alert.kind.as_str())
                && f.zone.as_ref().is_none_or(|z| alert.zone.as_deref() == Some(z))
                && f.between.is_none_or(|b| within(b, alert.updated_utc_ns))
        });
        let expected = story.expect.iter().any(|e| is_meant(e, alert));
        if !expected {
            let word = if forbidden { "forbidden" } else { "unexpected" };
            wrong.push(format!("{word}:{}", told(&[alert])));
        }
    }
    wrong
}

/// Prior and contributions of whatever is told add up to its score.
fn account(alert: &Alert) -> Option<String> {
    let sum: f32 = alert.evidence.iter().map(|e| e.contribution).sum();
    let score = sigmoid(logit(alert.prior) + sum);
    let holds = (score - alert.score).abs() < 1e-3;
    (!holds).then(|| {
        format!(
            "score {} of evidence that makes {score}:{}",
            alert.score,
            told(&[alert])
        )
    })
}

fn is_meant(expect: &Expect, alert: &Alert) -> bool {
    expect.kind == alert.kind.as_str()
        && expect.zone.as_ref().is_none_or(|z| alert.zone.as_deref() == Some(z))
        && expect
            .direction
            .as_ref()
            .is_none_or(|d| alert.direction.is_some_and(|a| a.as_str() == d))
        && within(expect.between, alert.updated_utc_ns)
}

/// The rest of an alert's life.
fn life(expect: &Expect, start: &Alert, alerts: &[Alert]) -> Option<String> {
    let own = || alerts.iter().filter(|a| a.id == start.id);
    if expect.began.is_some_and(|began| !within(began, start.started_utc_ns)) {
        return Some(format!("it began at {:.1} s", start.started_utc_ns as f64 / 1e9));
    }
    if let Some(severity) = &expect.severity {
        let highest = own().map(|a| a.severity).max()?;
        if highest.as_str() != severity {
            return Some(format!("its highest severity was {highest}, not {severity}"));
        }
    }
    if let Some(label) = &expect.label
        && !own().any(|a| a.evidence.iter().any(|e| e.label.contains(label.as_str())))
    {
        let labels: Vec<_> = start.evidence.iter().map(|e| e.label.to_string()).collect();
        return Some(format!("no evidence says {label:?}; it says {labels:?}"));
    }
    if let Some(many) = expect.suppressed {
        let last = own().map(|a| a.suppressed).max()?;
        if last != many {
            return Some(format!("it stood for {last}, not {many}"));
        }
    }
    let ended = own().find_map(|a| a.ended_utc_ns)?;
    match expect.ends {
        Some(between) if !within(between, ended) => Some(format!("it ended at {:.1} s", ended as f64 / 1e9)),
        _ => None,
    }
}

fn within([from, to]: [f64; 2], ns: i64) -> bool {
    (from..=to).contains(&(ns as f64 / 1e9))
}

fn name(expect: &Expect) -> String {
    let zone = expect.zone.as_ref().map(|z| format!(" in {z}")).unwrap_or_default();
    format!("{}{zone} between {:?} s", expect.kind, expect.between)
}

fn told(alerts: &[&Alert]) -> String {
    if alerts.is_empty() {
        return " nothing".into();
    }
    let line = |a: &&Alert| {
        let labels: Vec<_> = a.evidence.iter().map(|e| e.label.to_string()).collect();
        format!(
            "\n    {:8.2} s (began {:.2}) {} zone {:?} {} tracks {:?} {labels:?}",
            a.updated_utc_ns as f64 / 1e9,
            a.started_utc_ns as f64 / 1e9,
            a.kind,
            a.zone,
            a.direction.map_or("", |d| d.as_str()),
            a.tracks.iter().map(|t| t.id).collect::<Vec<_>>(),
        )
    };
    alerts.iter().map(line).collect()
}
