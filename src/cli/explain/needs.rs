//! What the configuration asks for before an alert of this kind, zone and camera fires.

use crate::config::Config;
use crate::data::Kind;
use crate::policy::KindPolicy;
use crate::publish::payload::AlertPayload;

/// One sentence a line.
pub(super) fn of(config: &Config, alert: &AlertPayload) -> Vec<String> {
    let Some(camera) = config.cameras.iter().find(|c| c.ingest.id.as_str() == alert.camera) else {
        return vec![format!("it has no working camera {}", alert.camera)];
    };
    let Ok(kind) = alert.kind.parse::<Kind>() else {
        return vec![format!("this version knows no kind {}", alert.kind)];
    };
    let mut out = Vec::new();
    for zone in camera
        .behaviour
        .zones
        .iter()
        .filter(|z| Some(&*z.name) == alert.zone.as_deref())
    {
        let classes: Vec<&str> = zone.classes.iter().map(|c| &**c).collect();
        out.push(format!(
            "zone {}: {} with the box's {:?} inside in at least {} frames, {:.0} to {:.0} % of the picture high",
            zone.name,
            if classes.is_empty() {
                "anything".into()
            } else {
                classes.join(" or ")
            },
            zone.anchor,
            zone.min_frames,
            100.0 * zone.min_height,
            100.0 * zone.max_height
        ));
        for (class, score) in &zone.min_score {
            out.push(format!("zone {}: a {class} counts from score {score:.2}", zone.name));
        }
        match kind {
            Kind::Loitering => out.push(format!("loiter_s {}", zone.loiter_s)),
            Kind::Crowd => {
                out.push(format!("crowd_size {}", zone.crowd_size));
                if zone.crowd_density > 0.0 {
                    out.push(format!("crowd_density {}", zone.crowd_density));
                }
            }
            _ => {}
        }
    }
    for line in camera
        .behaviour
        .lines
        .iter()
        .filter(|l| Some(&*l.name) == alert.zone.as_deref())
    {
        let way = line.direction.map_or("both".to_owned(), |d| d.to_string());
        out.push(format!(
            "line {}: crossed by the box's {:?}, direction {way}",
            line.name, line.anchor
        ));
    }
    let word = |threshold: f32| match threshold {
        0.0 => "the model's own (models list)".to_owned(),
        own => format!("{own:.2}"),
    };
    for rule in camera.behaviour.sounds.iter().filter(|r| r.kind == kind) {
        let threshold = word(rule.threshold);
        out.push(format!(
            "threshold {threshold} in {} patches in a row",
            rule.min_windows
        ));
    }
    for rule in camera.behaviour.moods.iter().filter(|r| r.kind == kind) {
        out.push(format!(
            "threshold {:.2} for {} s with picture and sound, {} s with one of them; a rule over the emotion models",
            rule.threshold,
            rule.min_s,
            rule.alone_s()
        ));
    }
    if let (Kind::Fight, Some(fight)) = (kind, &camera.behaviour.fight) {
        let threshold = word(fight.threshold);
        out.push(format!(
            "threshold {threshold} in {} windows in a row",
            fight.min_windows
        ));
    }
    let b = &camera.behaviour;
    out.extend(match kind {
        Kind::Running => b.running.as_ref().map(plain),
        Kind::Fall => b.fall.as_ref().map(plain),
        Kind::LeftOrTaken => b.left.as_ref().map(plain),
        Kind::Tamper => b.tamper.as_ref().map(plain),
        Kind::Anomaly => b.anomaly.as_ref().map(plain),
        _ => None,
    });
    let own = |p: &&KindPolicy| p.kind == kind && p.zone.as_deref() == alert.zone.as_deref();
    let general = |p: &&KindPolicy| p.kind == kind && p.zone.is_none();
    let policies = &camera.policy.kinds;
    match policies.iter().find(own).or_else(|| policies.iter().find(general)) {
        Some(p) => {
            out.push(format!(
                "hold_s {}: it ends when nothing was found for so long; cooldown_s {}: no new one for so long after that",
                p.hold_s, p.cooldown_s
            ));
            out.extend(when(p));
        }
        None => out.push(format!("camera {} does not alert on {kind}", alert.camera)),
    }
    out
}

/// When it may alert, when it is critical, and how many an hour are told.
fn when(policy: &KindPolicy) -> Vec<String> {
    let mut out = vec![format!("severity {}", policy.severity)];
    for (word, hours) in [("active", &policy.active), ("critical_at", &policy.critical_at)] {
        if !hours.is_empty() {
            out.push(format!("{word} {}", hours.texts().join(", ")));
        }
    }
    if policy.critical_after_s > 0.0 {
        out.push(format!(
            "critical_after_s {}: then it is critical",
            policy.critical_after_s
        ));
    }
    if policy.max_per_hour > 0 {
        out.push(format!("max_per_hour {}: more are told as one", policy.max_per_hour));
    }
    out
}

/// A rule's options as `key: value, …`, as they stand in the configuration.
fn plain(options: &impl std::fmt::Debug) -> String {
    let text = format!("{options:?}");
    let inside = text.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'));
    inside.map_or_else(|| text.clone(), |(inside, _)| inside.trim().to_owned())
}
