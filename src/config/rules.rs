//! `[[camera.rule]]`: what a kind needs, and how its alerts live.

use super::camera::{MODEL_THRESHOLD, default_behaviour, default_policy};
use super::document::Step::{self, Index, Key};
use super::judge::Judge;
use super::print::number;
use super::raw::Rule;
use super::wording::near;
use crate::behaviour::BehaviourOptions;
use crate::data::{Kind, Severity};
use crate::policy::{KindPolicy, PolicyOptions, Schedule};

/// The kinds that a zone can tell of, and those that a line can.
pub(super) const OF_ZONES: [Kind; 7] = [
    Kind::Intrusion,
    Kind::Loitering,
    Kind::Crowd,
    Kind::WrongWay,
    Kind::Running,
    Kind::Fall,
    Kind::LeftOrTaken,
];
pub(super) const OF_LINES: [Kind; 2] = [Kind::LineCrossing, Kind::WrongWay];

/// More windows in a row than these, over an hour of them, are a slip of the keyboard.
const MOST_WINDOWS: u32 = 10_000;

/// The place of a rule's key.
struct At(usize, usize);

impl At {
    fn key(&self, key: &'static str) -> [Step; 5] {
        [Key("camera"), Index(self.0), Key("rule"), Index(self.1), Key(key)]
    }
}

/// Rules for a whole camera first: those for a zone start from them. Each is judged whole, whatever of it is wrong.
pub(super) fn rules(
    judge: &mut Judge,
    camera: usize,
    raw: &[Rule],
    behaviour: &mut BehaviourOptions,
    policy: &mut PolicyOptions,
) {
    for of_zone in [false, true] {
        for (r, rule) in raw.iter().enumerate().filter(|(_, r)| r.zone.is_some() == of_zone) {
            let at = At(camera, r);
            let kind = kind(judge, &at, rule);
            place(judge, &at, kind, rule, behaviour);
            let Some(kind) = kind else {
                // What every kind takes can be judged without knowing which was meant.
                life(judge, &at, rule, &mut KindPolicy::default_for(Kind::Intrusion));
                continue;
            };
            let mut idle;
            let (behaviour, policy) = if policy.kinds.iter().any(|p| p.kind == kind) {
                (&mut *behaviour, &mut *policy)
            } else {
                let message = format!("the rule for {kind} does nothing: {kind} is not among the camera's kinds");
                judge.warn(&at.key("kind"), message);
                // Judged as if it were, so that no mistake waits for the day on which the kind is switched on.
                idle = (default_behaviour(&[kind]), default_policy(&[kind]));
                (&mut idle.0, &mut idle.1)
            };
            if let Some(own) = entry(kind, rule, policy) {
                life(judge, &at, rule, own);
            }
            needs(judge, &at, kind, rule, behaviour);
        }
    }
}

fn kind(judge: &mut Judge, at: &At, rule: &Rule) -> Option<Kind> {
    let Some(word) = &rule.kind else {
        judge.error(&at.key("kind"), "a rule needs its `kind`");
        return None;
    };
    judge.kind(&at.key("kind"), word)
}

/// Whether the rule's zone is there and can tell of its kind, where that is known.
fn place(judge: &mut Judge, at: &At, kind: Option<Kind>, rule: &Rule, behaviour: &BehaviourOptions) {
    let Some(name) = rule.zone.as_deref() else { return };
    let is_zone = behaviour.zones.iter().any(|z| *z.name == *name);
    let is_line = behaviour.lines.iter().any(|l| *l.name == *name);
    let tells = |of: &[Kind]| kind.is_none_or(|kind| of.contains(&kind));
    let (of_zones, of_lines) = (tells(&OF_ZONES), tells(&OF_LINES));
    let word = kind.map_or("it", Kind::as_str);
    let why = match (is_zone, is_line) {
        (false, false) => {
            let zones = behaviour.zones.iter().map(|z| &*z.name);
            let near = near(name, zones.chain(behaviour.lines.iter().map(|l| &*l.name)));
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            format!("the camera has no zone and no line `{name}`{hint}")
        }
        _ if !of_zones && !of_lines => format!("no zone and no line tells of {word}: it takes a rule without a zone"),
        (true, false) if !of_zones => format!("only lines tell of {word}, and `{name}` is a zone"),
        (false, true) if !of_lines => format!("only zones tell of {word}, and `{name}` is a line"),
        _ => return,
    };
    judge.error(&at.key("zone"), why);
}

/// The kind's policy, or the zone's own one, made of the kind's when it is the first.
fn entry<'a>(kind: Kind, rule: &Rule, policy: &'a mut PolicyOptions) -> Option<&'a mut KindPolicy> {
    let zone = rule.zone.as_deref();
    if !policy.kinds.iter().any(|p| p.kind == kind && p.zone.as_deref() == zone) {
        let general = policy.kinds.iter().find(|p| p.kind == kind)?.clone();
        policy.kinds.push(KindPolicy {
            zone: zone.map(Into::into),
            ..general
        });
    }
    policy
        .kinds
        .iter_mut()
        .find(|p| p.kind == kind && p.zone.as_deref() == zone)
}

fn life(judge: &mut Judge, at: &At, rule: &Rule, own: &mut KindPolicy) {
    const DAY_S: f32 = 86_400.0;
    let severities = Severity::ALL.iter().map(|s| (s.as_str(), *s)).collect::<Vec<_>>();
    own.hold_s = judge.number(&at.key("hold_s"), rule.hold_s, 0.0, 3600.0, own.hold_s);
    own.cooldown_s = judge.number(&at.key("cooldown_s"), rule.cooldown_s, 0.0, DAY_S, own.cooldown_s);
    let tracks = rule.track_cooldown_s;
    own.track_cooldown_s = judge.number(&at.key("track_cooldown_s"), tracks, 0.0, DAY_S, own.track_cooldown_s);
    let after = rule.critical_after_s;
    own.critical_after_s = judge.number(&at.key("critical_after_s"), after, 0.0, DAY_S, own.critical_after_s);
    own.severity = judge.word(&at.key("severity"), rule.severity.as_deref(), &severities, own.severity);
    own.max_per_hour = rule.max_per_hour.unwrap_or(own.max_per_hour);
    for (key, given, hours) in [
        ("active", &rule.active, &mut own.active),
        ("critical_at", &rule.critical_at, &mut own.critical_at),
    ] {
        match given.as_deref().map(Schedule::parse) {
            Some(Ok(schedule)) => *hours = schedule,
            // It tells of the first only: each is asked by itself.
            Some(Err(_)) => {
                for text in given.iter().flatten() {
                    if let Err(why) = Schedule::parse(std::slice::from_ref(text)) {
                        judge.error(&at.key(key), why.to_string());
                    }
                }
            }
            None => {}
        }
    }
}

fn needs(judge: &mut Judge, at: &At, kind: Kind, rule: &Rule, behaviour: &mut BehaviourOptions) {
    // What each key is for. One that the kind does not take is a mistake, not an idle wish.
    let given: [(&str, bool, &[Kind]); 8] = [
        ("speed", rule.speed.is_some(), &[Kind::Running]),
        (
            "min_s",
            rule.min_s.is_some(),
            &[
                Kind::Running,
                Kind::LeftOrTaken,
                Kind::Tamper,
                Kind::Aggression,
                Kind::Distress,
            ],
        ),
        (
            "prior",
            rule.prior.is_some(),
            &[Kind::Fight, Kind::Aggression, Kind::Distress],
        ),
        ("stay_down_s", rule.stay_down_s.is_some(), &[Kind::Fall]),
        ("frozen_s", rule.frozen_s.is_some(), &[Kind::Tamper]),
        ("warm_up_h", rule.warm_up_h.is_some(), &[Kind::Anomaly]),
        ("decay_days", rule.decay_days.is_some(), &[Kind::Anomaly]),
        ("per_day", rule.per_day.is_some(), &[Kind::Anomaly]),
    ];
    for (key, is_given, kinds) in given {
        if is_given && (!kinds.contains(&kind) || rule.zone.is_some()) {
            let names: Vec<&str> = kinds.iter().map(|k| k.as_str()).collect();
            let message = format!("{key} is for {}, in a rule without a zone", names.join(" and "));
            judge.error(&at.key(key), message);
        }
    }
    if let (Kind::Running, Some(running)) = (kind, &mut behaviour.running) {
        running.speed = judge.number(&at.key("speed"), rule.speed, 0.5, 10.0, running.speed);
        running.min_s = judge.number(&at.key("min_s"), rule.min_s, 0.0, 60.0, running.min_s);
    }
    if let (Kind::Fall, Some(fall)) = (kind, &mut behaviour.fall) {
        fall.stay_down_s = judge.number(&at.key("stay_down_s"), rule.stay_down_s, 1.0, 3600.0, fall.stay_down_s);
    }
    if let (Kind::LeftOrTaken, Some(left)) = (kind, &mut behaviour.left) {
        left.min_s = judge.number(&at.key("min_s"), rule.min_s, 10.0, 1200.0, left.min_s);
    }
    if let (Kind::Tamper, Some(tamper)) = (kind, &mut behaviour.tamper) {
        tamper.min_s = judge.number(&at.key("min_s"), rule.min_s, 1.0, 3600.0, tamper.min_s);
        tamper.frozen_s = judge.number(&at.key("frozen_s"), rule.frozen_s, 5.0, 86_400.0, tamper.frozen_s);
    }
    if let (Kind::Anomaly, Some(anomaly)) = (kind, &mut behaviour.anomaly) {
        anomaly.warm_up_h = judge.number(&at.key("warm_up_h"), rule.warm_up_h, 0.1, 8760.0, anomaly.warm_up_h);
        anomaly.decay_days = judge.number(&at.key("decay_days"), rule.decay_days, 1.0, 3650.0, anomaly.decay_days);
        anomaly.per_day = judge.number(&at.key("per_day"), rule.per_day, 0.01, 1000.0, anomaly.per_day);
    }
    if let Some(mood) = behaviour.moods.iter_mut().find(|m| m.kind == kind) {
        mood.min_s = judge.number(&at.key("min_s"), rule.min_s, 1.0, 60.0, mood.min_s);
        mood.prior = judge.number(&at.key("prior"), rule.prior, 0.001, 0.5, mood.prior);
        mood.threshold = judge.number(&at.key("threshold"), rule.threshold, 0.05, 1.0, mood.threshold);
    }
    if let Some(sound) = behaviour.sounds.iter_mut().find(|s| s.kind == kind) {
        in_a_row(judge, at, rule, &mut sound.threshold, &mut sound.min_windows);
    }
    if let (Kind::Fight, Some(fight)) = (kind, &mut behaviour.fight) {
        in_a_row(judge, at, rule, &mut fight.threshold, &mut fight.min_windows);
        fight.prior = judge.number(&at.key("prior"), rule.prior, 0.001, 0.5, fight.prior);
    }
    let counts = kind.is_sound() || kind == Kind::Fight;
    if (rule.min_windows.is_some() && !counts) || (rule.threshold.is_some() && !counts && !kind.is_mood()) {
        judge.error(
            &at.key("kind"),
            format!(
                "threshold and min_windows are for sounds and fight, threshold for aggression and distress; {kind} has \
                 none (a zone's min_score is for intrusion, loitering and crowd)"
            ),
        );
    }
}

/// What is judged by windows, or patches, in a row.
fn in_a_row(judge: &mut Judge, at: &At, rule: &Rule, threshold: &mut f32, min_windows: &mut u32) {
    *threshold = judge.threshold(&at.key("threshold"), rule.threshold, *threshold);
    *min_windows = judge.whole(&at.key("min_windows"), rule.min_windows, 1, MOST_WINDOWS, *min_windows);
}

/// What every kind needs in the end, whether a rule said so or not.
pub(super) fn note_rules(judge: &mut Judge, camera: usize, behaviour: &BehaviourOptions, policy: &PolicyOptions) {
    judge.printed.clear_rules(camera);
    for (r, own) in policy.kinds.iter().enumerate() {
        let at = At(camera, r);
        judge.note(&at.key("kind"), own.kind.as_str());
        judge.note(&at.key("severity"), own.severity.as_str());
        judge.note(&at.key("hold_s"), number(own.hold_s));
        judge.note(&at.key("cooldown_s"), number(own.cooldown_s));
        judge.note(&at.key("track_cooldown_s"), number(own.track_cooldown_s));
        judge.note(&at.key("max_per_hour"), i64::from(own.max_per_hour));
        if own.critical_after_s > 0.0 {
            judge.note(&at.key("critical_after_s"), number(own.critical_after_s));
        }
        for (key, hours) in [("active", &own.active), ("critical_at", &own.critical_at)] {
            if !hours.is_empty() {
                judge.note_words(&at.key(key), hours.texts());
            }
        }
        match &own.zone {
            Some(zone) => {
                judge.note(&at.key("zone"), zone.to_string());
            }
            None => note_needs(judge, &at, own.kind, behaviour),
        }
    }
}

fn note_needs(judge: &mut Judge, at: &At, kind: Kind, behaviour: &BehaviourOptions) {
    if let Some(sound) = behaviour.sounds.iter().find(|s| s.kind == kind) {
        judge.note(&at.key("min_windows"), i64::from(sound.min_windows));
        if sound.threshold != MODEL_THRESHOLD {
            judge.note(&at.key("threshold"), number(sound.threshold));
        }
    }
    if let (Kind::Fight, Some(fight)) = (kind, &behaviour.fight) {
        judge.note(&at.key("min_windows"), i64::from(fight.min_windows));
        if fight.threshold != MODEL_THRESHOLD {
            judge.note(&at.key("threshold"), number(fight.threshold));
        }
        judge.note(&at.key("prior"), number(fight.prior));
    }
    if let Some(mood) = behaviour.moods.iter().find(|m| m.kind == kind) {
        judge.note(&at.key("threshold"), number(mood.threshold));
        judge.note(&at.key("min_s"), number(mood.min_s));
        judge.note(&at.key("prior"), number(mood.prior));
    }
    let mut note = |key, value| {
        judge.note(&at.key(key), number(value));
    };
    if let (Kind::Running, Some(running)) = (kind, &behaviour.running) {
        note("speed", running.speed);
        note("min_s", running.min_s);
    }
    if let (Kind::Fall, Some(fall)) = (kind, &behaviour.fall) {
        note("stay_down_s", fall.stay_down_s);
    }
    if let (Kind::LeftOrTaken, Some(left)) = (kind, &behaviour.left) {
        note("min_s", left.min_s);
    }
    if let (Kind::Tamper, Some(tamper)) = (kind, &behaviour.tamper) {
        note("min_s", tamper.min_s);
        note("frozen_s", tamper.frozen_s);
    }
    if let (Kind::Anomaly, Some(anomaly)) = (kind, &behaviour.anomaly) {
        note("warm_up_h", anomaly.warm_up_h);
        note("decay_days", anomaly.decay_days);
        note("per_day", anomaly.per_day);
    }
}
