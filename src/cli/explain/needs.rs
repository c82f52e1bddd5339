//! What the configuration asks for before an alert of this kind, zone and camera fires.

use crate::app::words::with_article;
use crate::app::{Vocabulary, fill_thresholds};
use crate::behaviour::{Anchor, BehaviourOptions, Line, Zone};
use crate::config::Config;
use crate::data::Kind;
use crate::nn::{Manifest, ModelOptions};
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
    let mut behaviour = camera.behaviour.clone();
    fill(&mut behaviour, &config.models);
    let here = |name: &str| Some(name) == alert.zone.as_deref();
    let zones = behaviour.zones.iter().filter(|z| here(&z.name));
    let mut out: Vec<String> = zones.flat_map(|z| in_zone(z, kind)).collect();
    out.extend(
        behaviour
            .lines
            .iter()
            .filter(|l| here(&l.name))
            .map(|l| over_line(l, kind)),
    );
    out.extend(by_rule(&behaviour, kind));
    let own = |p: &&KindPolicy| p.kind == kind && p.zone.as_deref() == alert.zone.as_deref();
    let general = |p: &&KindPolicy| p.kind == kind && p.zone.is_none();
    let policies = &camera.policy.kinds;
    match policies.iter().find(own).or_else(|| policies.iter().find(general)) {
        Some(p) => out.extend(of_policy(p)),
        None => out.push(format!("camera {} does not alert on {kind}", alert.camera)),
    }
    out
}

/// The models' own thresholds, as far as they are installed.
fn fill(behaviour: &mut BehaviourOptions, models: &ModelOptions) {
    let Ok(known) = Vocabulary::read(models) else { return };
    let head = Manifest::read(&models.dir.join(&models.av_fight)).ok();
    // The learned fusion belongs to the very models whose embeddings it knows.
    let others = [Some(&known.sound), known.action.as_ref()].into_iter().flatten();
    let head = head.filter(|head| head.expect_beside(others).is_ok());
    let fight = head.as_ref().or(known.action.as_ref());
    let fight = fight.and_then(|m| Some(m.label(Kind::Fight.as_str())?.threshold));
    fill_thresholds(behaviour, &known.detector, &known.sound, fight);
}

fn in_zone(zone: &Zone, kind: Kind) -> Vec<String> {
    let name = &zone.name;
    let classes: Vec<&str> = zone.classes.iter().map(|c| &**c).collect();
    let who = if classes.is_empty() {
        "anything".into()
    } else {
        classes.join(" or ")
    };
    let mut out = vec![format!("zone {name}: {who} with {} inside", word(zone.anchor))];
    // A person who lies is not as high as one who stands.
    if kind != Kind::Fall && (zone.min_height > 0.0 || zone.max_height < 1.0) {
        let (low, high) = (100.0 * zone.min_height, 100.0 * zone.max_height);
        out.push(format!("zone {name}: {low:.0} to {high:.0} % of the picture high"));
    }
    if matches!(kind, Kind::Intrusion | Kind::Loitering | Kind::Crowd) {
        out.push(format!("zone {name}: inside in at least {} frames", zone.min_frames));
        for (class, score) in &zone.min_score {
            let one = with_article(class);
            out.push(format!("zone {name}: {one} counts from score {score:.2}"));
        }
    }
    match kind {
        Kind::Loitering => out.push(format!("loiter_s {}: inside for so long", zone.loiter_s)),
        Kind::Crowd => {
            out.push(format!("crowd_size {}: so many at once for 2 s", zone.crowd_size));
            if zone.crowd_density > 0.0 {
                out.push(format!(
                    "crowd_density {}: or four or more, so many on an area of one body height squared",
                    zone.crowd_density
                ));
            }
        }
        Kind::WrongWay => out.extend(zone.way.map(|(from, to)| {
            format!(
                "the allowed way is from [{}, {}] to [{}, {}]",
                from.x, from.y, to.x, to.y
            )
        })),
        _ => {}
    }
    out
}

fn over_line(line: &Line, kind: Kind) -> String {
    let (name, anchor) = (&line.name, word(line.anchor));
    match (kind, line.way, line.direction) {
        (Kind::WrongWay, Some(way), _) => format!("line {name}: crossed by {anchor}; the allowed way is {way}"),
        (_, _, Some(way)) => format!("line {name}: crossed by {anchor}, {way}"),
        (_, _, None) => format!("line {name}: crossed by {anchor}, either way"),
    }
}

fn word(anchor: Anchor) -> &'static str {
    match anchor {
        Anchor::Bottom => "the middle of the box's bottom",
        Anchor::Centre => "the box's centre",
    }
}

/// What needs neither zone nor line.
fn by_rule(b: &BehaviourOptions, kind: Kind) -> Vec<String> {
    let model = |threshold: f32| match threshold {
        0.0 => "the model's own".to_owned(),
        known => format!("{known:.2}"),
    };
    let sounds = b.sounds.iter().filter(|r| r.kind == kind).map(|r| {
        let (threshold, n) = (model(r.threshold), r.min_windows);
        match n {
            1 => format!("threshold {threshold} in one patch of a second"),
            n => format!("threshold {threshold} in {n} patches in a row"),
        }
    });
    let moods = b.moods.iter().filter(|r| r.kind == kind).map(|r| {
        let (threshold, both, alone) = (r.threshold, r.min_s, r.alone_s());
        format!(
            "threshold {threshold:.2} for {both} s with picture and sound, {alone} s with one of them; a rule over the emotion models"
        )
    });
    let one = match kind {
        Kind::Fight => b.fight.as_ref().map(|f| {
            let (threshold, n) = (model(f.threshold), f.min_windows);
            match n {
                1 => format!("threshold {threshold} in one window"),
                n => format!("threshold {threshold} in {n} windows in a row"),
            }
        }),
        Kind::Running => b.running.as_ref().map(|r| {
            let (speed, lasts) = (r.speed, r.min_s);
            format!("speed {speed} body heights a second for min_s {lasts}")
        }),
        Kind::Fall => b
            .fall
            .as_ref()
            .map(|f| format!("stay_down_s {}: then it is critical", f.stay_down_s)),
        Kind::LeftOrTaken => b
            .left
            .as_ref()
            .map(|l| format!("min_s {}: it stays for so long", l.min_s)),
        Kind::Tamper => b.tamper.as_ref().map(|t| {
            format!(
                "min_s {}: it lasts for so long; frozen_s {} for a picture that stands",
                t.min_s, t.frozen_s
            )
        }),
        Kind::Anomaly => b.anomaly.as_ref().map(|a| {
            let (warm_up, days, n) = (a.warm_up_h, a.decay_days, a.per_day);
            format!("warm_up_h {warm_up}, then as surprising as comes per_day {n} times a day; decay_days {days}")
        }),
        _ => None,
    };
    sounds.chain(moods).chain(one).collect()
}

/// When it may alert, when it is critical, and how many are told.
fn of_policy(policy: &KindPolicy) -> Vec<String> {
    let mut out = vec![
        format!(
            "hold_s {}: it ends when nothing was found for so long; cooldown_s {}: no new one for so long after that",
            policy.hold_s, policy.cooldown_s
        ),
        format!("severity {}", policy.severity),
    ];
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
    if policy.track_cooldown_s > 0.0 {
        out.push(format!(
            "track_cooldown_s {}: no new one by the same tracks alone for so long",
            policy.track_cooldown_s
        ));
    }
    if policy.max_per_hour > 0 {
        out.push(format!("max_per_hour {}: more are told as one", policy.max_per_hour));
    }
    out
}
