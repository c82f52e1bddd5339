//! What a camera's table asks for that can never happen: every key is right by itself, and together they do nothing.

use std::sync::Arc;

use super::document::Step::{self, Index, Key};
use super::judge::Judge;
use super::raw::Camera;
use super::rules::{OF_LINES, OF_ZONES};
use crate::behaviour::BehaviourOptions;
use crate::data::Kind;

/// The kinds that count in a zone only; others that zones may name count everywhere unless one does.
const NEED_A_ZONE: [Kind; 3] = [Kind::Intrusion, Kind::Loitering, Kind::Crowd];

/// The kinds that are about persons alone, wherever they are.
const NEED_PERSONS: [Kind; 6] = [
    Kind::Running,
    Kind::Fall,
    Kind::LeftOrTaken,
    Kind::Fight,
    Kind::Aggression,
    Kind::Distress,
];

/// Warns of each. `kinds`, `detect` and `behaviour` are what came of the table `raw`, the camera's number `i`.
pub(super) fn idle(
    judge: &mut Judge,
    i: usize,
    raw: &Camera,
    kinds: &[Kind],
    detect: &[Arc<str>],
    behaviour: &BehaviourOptions,
) {
    if kinds.is_empty() {
        let at = [Key("camera"), Index(i), Key("kinds")];
        judge.warn(
            &at,
            "`kinds` is empty, so that this camera never alerts: leave it out for the defaults",
        );
    }
    for (z, zone) in behaviour.zones.iter().enumerate() {
        let at = |key| [Key("camera"), Index(i), Key("zone"), Index(z), Key(key)];
        for kind in zone.kinds.iter().filter(|k| !kinds.contains(k)) {
            let message = format!(
                "{kind} is not among the camera's kinds: zone {:?} never tells of one",
                zone.name
            );
            judge.warn(&at("kinds"), message);
        }
        undetected(judge, &at("classes"), &zone.classes, detect);
    }
    for (l, line) in behaviour.lines.iter().enumerate() {
        let at = |key| [Key("camera"), Index(i), Key("line"), Index(l), Key(key)];
        let (crossings, ways) = (kinds.contains(&Kind::LineCrossing), kinds.contains(&Kind::WrongWay));
        if line.way.is_some() && !ways {
            let message = "the line's `way` does nothing: wrong_way is not among the camera's kinds";
            judge.warn(&at("way"), message);
        } else if !crossings && line.way.is_none() {
            let message = format!(
                "line {:?} does nothing: line_crossing is not among the camera's kinds, and it has no `way`",
                line.name
            );
            judge.warn(&at("name"), message);
        }
        undetected(judge, &at("classes"), &line.classes, detect);
    }
    // What the camera itself asks for; defaults for all cameras need not fit each.
    for kind in kinds.iter().filter(|_| raw.kinds.is_some()) {
        let zoned = behaviour.zones.iter().any(|z| z.kinds.contains(kind));
        if NEED_PERSONS.contains(kind) && !zoned && detect.iter().all(|class| &**class != "person") {
            let at = [Key("camera"), Index(i), Key("detect")];
            judge.warn(&at, format!("{kind} is about persons, and `detect` does not name them"));
        }
        let missing = match kind {
            Kind::LineCrossing if behaviour.lines.is_empty() => "a line",
            Kind::WrongWay if !zoned && behaviour.lines.iter().all(|l| l.way.is_none()) => {
                "a zone or line with a `way`"
            }
            kind if NEED_A_ZONE.contains(kind) && !zoned => "a zone whose `kinds` name it",
            _ => continue,
        };
        let at = [Key("camera"), Index(i), Key("kinds")];
        judge.warn(
            &at,
            format!("{kind} never fires: it needs {missing}, and the camera has none"),
        );
    }
    for (r, rule) in raw.rule.iter().enumerate() {
        let (Some(name), Some(kind)) = (&rule.zone, rule.kind.as_deref().and_then(|k| k.parse::<Kind>().ok())) else {
            continue;
        };
        let zone = behaviour.zones.iter().find(|z| *z.name == **name);
        let line = behaviour.lines.iter().find(|l| *l.name == **name);
        let tells = zone.is_some_and(|z| z.kinds.contains(&kind))
            || line.is_some_and(|l| kind == Kind::LineCrossing || (kind == Kind::WrongWay && l.way.is_some()));
        // What none could ever tell of is an error of the rule's.
        let could = (zone.is_some() && OF_ZONES.contains(&kind)) || (line.is_some() && OF_LINES.contains(&kind));
        if could && !tells {
            let at = [Key("camera"), Index(i), Key("rule"), Index(r), Key("zone")];
            judge.warn(&at, format!("the rule does nothing: {name:?} tells of no {kind}"));
        }
    }
}

fn undetected(judge: &mut Judge, at: &[Step], classes: &[Arc<str>], detect: &[Arc<str>]) {
    for class in classes.iter().filter(|c| !detect.contains(c)) {
        judge.warn(
            at,
            format!("{class:?} is not among the classes that the camera's `detect` names"),
        );
    }
}
