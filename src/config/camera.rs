//! One camera's table → the options of its owners.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::common::{common, inherited};
use super::document::Step::{Index, Key};
use super::idle::idle;
use super::judge::Judge;
use super::raw::{Camera, CameraDefaults, RawSecret};
use super::rules::{OF_ZONES, note_rules, rules};
use super::url::{NO_PORT, passwords_in, url};
use super::{CameraConfig, Secrets};
use crate::behaviour::{
    Anchor, AnomalyOptions, BehaviourOptions, FallOptions, FightOptions, LeftOptions, Line, MoodRule, RunningOptions,
    SoundRule, TamperOptions, Zone,
};
use crate::data::{CameraId, Direction, Kind, Secret};
use crate::ingest::{CameraOptions, Source, Transport};
use crate::policy::{KindPolicy, PolicyOptions};
use crate::window::WindowOptions;

/// Stands for a threshold that nobody gave, which is the model's own: a rule takes none that is not over it.
pub const MODEL_THRESHOLD: f32 = 0.0;

/// What these kinds need that no zone and no line names, with defaults; sounds take their model's threshold.
pub fn default_behaviour(kinds: &[Kind]) -> BehaviourOptions {
    let sounds = kinds.iter().filter(|k| k.is_sound()).map(|kind| SoundRule {
        kind: *kind,
        threshold: MODEL_THRESHOLD,
        min_windows: if matches!(kind, Kind::Gunshot | Kind::Explosion | Kind::GlassBreak | Kind::Scream) {
            1
        } else {
            2
        },
    });
    BehaviourOptions {
        sounds: sounds.collect(),
        moods: kinds
            .iter()
            .filter(|k| k.is_mood())
            .map(|k| MoodRule::default_for(*k))
            .collect(),
        running: kinds.contains(&Kind::Running).then(RunningOptions::default),
        fall: kinds.contains(&Kind::Fall).then(FallOptions::default),
        fight: kinds.contains(&Kind::Fight).then(FightOptions::default),
        left: kinds.contains(&Kind::LeftOrTaken).then(LeftOptions::default),
        tamper: kinds.contains(&Kind::Tamper).then(TamperOptions::default),
        anomaly: kinds.contains(&Kind::Anomaly).then(AnomalyOptions::default),
        ..BehaviourOptions::default()
    }
}

pub fn default_policy(kinds: &[Kind]) -> PolicyOptions {
    PolicyOptions {
        kinds: kinds.iter().map(|k| KindPolicy::default_for(*k)).collect(),
        ..PolicyOptions::default()
    }
}

pub(super) fn camera(
    judge: &mut Judge,
    i: usize,
    raw: &Camera,
    defaults: &CameraDefaults,
    window: &WindowOptions,
    timezone: &TimeZone,
) -> CameraConfig {
    let at = |key| [Key("camera"), Index(i), Key(key)];
    let id = judge.name(&at("id"), "camera.id", raw.id.as_deref());
    let common = common(judge, &[Key("camera"), Index(i)], &inherited(raw, defaults));
    let mut ingest = CameraOptions::new(CameraId::new(&id), source(judge, i, raw, common.transport));
    judge.note(&at("enabled"), raw.enabled.unwrap_or(true));
    ingest.analysis_fps = common.analysis_fps;
    ingest.analysis_px = common.analysis_px;
    ingest.stall_after = common.stall_after;
    ingest.backoff_first = common.backoff_first;
    ingest.backoff_cap = common.backoff_cap;
    ingest.clock = common.clock;
    ingest.decoder = common.decoder;
    ingest.window = window.clone();
    let etc = PathBuf::from("/etc/watchfire/pipelines");
    ingest.pipelines_dir = etc.is_dir().then_some(etc);
    for (m, mask) in raw.mask.iter().enumerate() {
        let at = |key| [Key("camera"), Index(i), Key("mask"), Index(m), Key(key)];
        if let Some(name) = &mask.name {
            judge.note(&at("name"), name.clone());
        }
        ingest.masks.push(judge.polygon(&at("polygon"), &mask.polygon));
    }
    let emotion = judge.note(&at("emotion"), raw.emotion.unwrap_or(false));
    ingest.native = emotion;
    let (kinds, detect) = (common.kinds, common.detect);
    if let Some(kind) = kinds.iter().find(|k| k.is_mood() && !emotion) {
        judge.error(
            &at("kinds"),
            format!("{kind} reads what faces and voices seem to express: it needs the camera's emotion = true"),
        );
    }
    let mut behaviour = default_behaviour(&kinds);
    if let Some(anomaly) = &mut behaviour.anomaly {
        anomaly.timezone = timezone.clone();
    }
    zones(judge, i, raw, &detect, &mut behaviour);
    lines(judge, i, raw, &detect, &mut behaviour);
    one_name_each(judge, i, &behaviour);
    idle(judge, i, raw, &kinds, &detect, &behaviour);
    let mut policy = PolicyOptions {
        timezone: timezone.clone(),
        ..default_policy(&kinds)
    };
    rules(judge, i, &raw.rule, &mut behaviour, &mut policy);
    note_rules(judge, i, &behaviour, &policy);
    CameraConfig {
        ingest,
        detect,
        behaviour,
        policy,
        snapshots: common.snapshots,
        emotion,
        gating: common.gating,
        noise_reduction: common.noise_reduction,
        audio_gain: common.audio_gain,
    }
}

fn source(judge: &mut Judge, i: usize, raw: &Camera, transport: Transport) -> Source {
    let place = [Key("camera"), Index(i), Key("url")];
    let text = raw.url.clone().unwrap_or_default();
    let at = |key| [Key("camera"), Index(i), Key(key)];
    let mut password = raw.password.as_ref().and_then(|p| judge.secret(&at("password"), p));
    let parsed = url(&text);
    match parsed {
        Some(u) if u.scheme == "file" => {
            let path = PathBuf::from(u.rest);
            if judge.around.secrets != Secrets::Unused && !path.exists() {
                judge.error(&place, format!("{} is not there", path.display()));
            }
            judge.note(&place, text.clone());
            Source::File { path }
        }
        Some(u) if matches!(u.scheme, "rtsp" | "rtsps") && !u.host.is_empty() => {
            if u.host_port().is_none() {
                judge.error(&place, NO_PORT);
                return Source::File { path: PathBuf::new() };
            }
            let secure = u.scheme == "rtsps";
            let mut username = raw.username.clone();
            if let Some((user, secret)) = u.user {
                username.get_or_insert(user);
                if let Some(secret) = secret {
                    judge.warn(&place, "a password in the url is easily shown; use `password`");
                    let secret = judge.secret(&at("password"), &RawSecret::Plain(secret));
                    password = password.or(secret);
                }
            }
            let url = format!("{}://{}{}", u.scheme, u.host, u.rest);
            let mut shown = url.clone();
            for password in passwords_in(&url) {
                judge.redactor.add(&Secret::new(password.to_owned()));
                shown = shown.replace(&format!("={password}"), "=***");
            }
            judge.note(&place, shown);
            if password.is_some() && username.is_none() {
                judge.warn(
                    &at("password"),
                    "the password is not sent without a name: set `username`",
                );
            }
            for (key, value) in [("username", &username), ("ca", &raw.ca)] {
                if let Some(value) = value {
                    judge.note(&at(key), value.clone());
                }
            }
            match &raw.ca {
                Some(_) if !secure => judge.warn(&at("ca"), "`ca` does nothing for rtsp://; use rtsps://"),
                // The daemon looks itself, each time that it connects: what is missing now may be there later.
                Some(ca) if judge.around.secrets == Secrets::Checked => judge.certificates(&at("ca"), ca),
                _ => {}
            }
            Source::Rtsp {
                url,
                username,
                password,
                transport,
                ca: raw.ca.clone().filter(|_| secure).map(Into::into),
            }
        }
        _ => {
            judge.error(
                &place,
                "the url must be rtsp://host/path, rtsps://host/path or file:///path; a `/` in a password is written %2F",
            );
            Source::File { path: PathBuf::new() }
        }
    }
}

const ANCHORS: [(&str, Anchor); 2] = [("bottom", Anchor::Bottom), ("centre", Anchor::Centre)];

/// None is persons; an empty list every class that is looked for.
fn classes(given: Option<&Vec<String>>, detect: &[Arc<str>]) -> Vec<Arc<str>> {
    match given {
        None => vec!["person".into()],
        Some(all) if all.is_empty() => detect.to_vec(),
        Some(some) => some.iter().map(|c| c.as_str().into()).collect(),
    }
}

/// Alerts are told apart by the names of zones and lines.
fn one_name_each(judge: &mut Judge, i: usize, behaviour: &BehaviourOptions) {
    let zones = behaviour.zones.iter().map(|z| &z.name).enumerate();
    let lines = behaviour.lines.iter().map(|l| &l.name).enumerate();
    let all = zones
        .map(|(n, name)| ("zone", n, name))
        .chain(lines.map(|(n, name)| ("line", n, name)));
    let mut known = BTreeSet::new();
    for (table, n, name) in all {
        if !known.insert(name) {
            let at = [Key("camera"), Index(i), Key(table), Index(n), Key("name")];
            judge.error(&at, format!("the camera has two zones or lines called {name:?}"));
        }
    }
}

fn zones(judge: &mut Judge, i: usize, raw: &Camera, detect: &[Arc<str>], behaviour: &mut BehaviourOptions) {
    for (z, given) in raw.zone.iter().enumerate() {
        let at = |key| [Key("camera"), Index(i), Key("zone"), Index(z), Key(key)];
        let name = judge.name(&at("name"), "zone.name", given.name.as_deref());
        let mut zone = Zone::new(&name, judge.polygon(&at("polygon"), &given.polygon));
        zone.kinds = judge.kinds(&at("kinds"), given.kinds.as_ref(), &zone.kinds);
        for kind in zone.kinds.iter().filter(|k| !OF_ZONES.contains(k)) {
            let message: String = match kind {
                Kind::LineCrossing => "no zone tells of line_crossing: it needs a [[camera.line]]".into(),
                kind => format!("no zone tells of {kind}, which counts everywhere: name it in the camera's `kinds`"),
            };
            judge.error(&at("kinds"), message);
        }
        zone.kinds.retain(|k| OF_ZONES.contains(k));
        zone.classes = classes(given.classes.as_ref(), detect);
        judge.note_words(&at("classes"), &zone.classes);
        zone.anchor = judge.word(&at("anchor"), given.anchor.as_deref(), &ANCHORS, Anchor::Bottom);
        zone.loiter_s = judge.number(&at("loiter_s"), given.loiter_s, 1.0, 86_400.0, zone.loiter_s);
        zone.crowd_size = judge.whole(&at("crowd_size"), given.crowd_size, 2, 10_000, zone.crowd_size);
        zone.crowd_density = judge.number(&at("crowd_density"), given.crowd_density, 0.0, 100.0, 0.0);
        zone.way = given.way.map(|way| judge.arrow(&at("way"), way));
        if zone.kinds.contains(&Kind::WrongWay) && zone.way.is_none() {
            judge.error(
                &at("kinds"),
                "wrong_way needs the zone's `way`: the allowed one, from a point to another",
            );
        }
        zone.min_frames = judge.whole(&at("min_frames"), given.min_frames, 1, 10_000, zone.min_frames);
        zone.min_height = judge.number(&at("min_height"), given.min_height, 0.0, 1.0, 0.0);
        zone.max_height = judge.number(&at("max_height"), given.max_height, 0.0, 1.0, 1.0);
        if zone.min_height > zone.max_height {
            judge.error(&at("min_height"), "min_height is above max_height: no box is both");
        }
        if let Some(score) = given.min_score {
            let score = judge.number(&at("min_score"), Some(score), 0.0, 1.0, 0.0);
            zone.min_score = zone.classes.iter().map(|c| (c.clone(), score)).collect();
        }
        behaviour.zones.push(zone);
    }
}

fn lines(judge: &mut Judge, i: usize, raw: &Camera, detect: &[Arc<str>], behaviour: &mut BehaviourOptions) {
    let ways = [
        ("both", None),
        ("left_to_right", Some(Direction::LeftToRight)),
        ("right_to_left", Some(Direction::RightToLeft)),
    ];
    for (l, given) in raw.line.iter().enumerate() {
        let at = |key| [Key("camera"), Index(i), Key("line"), Index(l), Key(key)];
        let name = judge.name(&at("name"), "line.name", given.name.as_deref());
        let (Some(from), Some(to)) = (given.from, given.to) else {
            judge.error(&at("name"), "a line needs `from` and `to`");
            continue;
        };
        let (from, to) = (judge.point(&at("from"), from), judge.point(&at("to"), to));
        if from == to {
            judge.error(&at("to"), "`from` and `to` are the same point");
        }
        let classes = classes(given.classes.as_ref(), detect);
        judge.note_words(&at("classes"), &classes);
        behaviour.lines.push(Line {
            name: name.as_str().into(),
            from,
            to,
            direction: judge.word(&at("direction"), given.direction.as_deref(), &ways, None),
            way: judge.word(&at("way"), given.way.as_deref(), &ways[1..], None),
            classes,
            anchor: judge.word(&at("anchor"), given.anchor.as_deref(), &ANCHORS, Anchor::Bottom),
        });
    }
}
