//! Turns tracks and sounds into findings. Pure: no clock, no I/O, no tensor. One rule a file.

mod anomaly;
mod fall;
mod fight;
mod gait;
mod left;
mod lines;
mod moods;
mod options;
mod places;
mod running;
mod sounds;
mod spells;
mod still;
mod tamper;
mod wrong_way;
mod zones;

use std::ops::Range;
use std::sync::Arc;

use crate::cells::Cells;
use crate::data::{
    AlertTrack, BBox, Evidence, Finding, HearingReport, Kind, Modality, PictureStats, Point, Reports, Track,
    VisionReport,
};
use crate::fusion::{Blend, Mood, contribution, pool, sigmoid};
use anomaly::Anomaly;
pub use anomaly::AnomalyOptions;
use fall::Fall;
pub use fall::FallOptions;
pub use fight::FightOptions;
use fight::{Fight, Scene};
use gait::Gaits;
use left::Left;
pub use left::LeftOptions;
use lines::LineRule;
use moods::MoodWatch;
pub use moods::mood_labels;
pub use options::{Anchor, BehaviourOptions, Line, MoodRule, SoundRule, Zone};
use running::Running;
pub use running::RunningOptions;
use sounds::SoundRules;
use still::Stillness;
use tamper::Tamper;
pub use tamper::TamperOptions;
use wrong_way::WrongWay;
use zones::ZoneRule;

/// Every kind starts from this probability that a window holds it; evidence moves it.
const PRIOR: f32 = 0.1;

/// One camera's rules and what they remember.
pub struct Behaviour {
    still: Stillness,
    gaits: Gaits,
    zones: Vec<ZoneRule>,
    lines: Vec<LineRule>,
    wrong_ways: Vec<WrongWay>,
    running: Option<Running>,
    fall: Option<Fall>,
    left: Option<Left>,
    tamper: Option<Tamper>,
    anomaly: Option<Anomaly>,
    sounds: SoundRules,
    moods: Vec<MoodWatch>,
    fight: Option<Fight>,
}

impl Behaviour {
    pub fn new(options: BehaviourOptions) -> Self {
        let zones = &options.zones;
        Self {
            still: Stillness::default(),
            gaits: Gaits::default(),
            wrong_ways: zones.iter().filter_map(WrongWay::new).collect(),
            running: options.running.map(|o| Running::new(o, zones)),
            fall: options.fall.map(|o| Fall::new(o, zones)),
            left: options.left.map(|o| Left::new(o, zones)),
            tamper: options.tamper.map(Tamper::new),
            anomaly: options.anomaly.map(Anomaly::new),
            zones: options.zones.into_iter().map(ZoneRule::new).collect(),
            lines: options.lines.into_iter().map(LineRule::new).collect(),
            sounds: SoundRules::new(options.sounds),
            moods: options.moods.into_iter().map(MoodWatch::new).collect(),
            fight: options.fight.map(Fight::new),
        }
    }

    /// The tracks of one window. Presence is found anew for every window in which it holds.
    pub fn see(&mut self, seen: &VisionReport, utc_offset_ns: i64) -> Vec<Finding> {
        let mut found = Vec::new();
        for frame in &seen.frames {
            self.still.observe(frame, seen.aspect);
            self.gaits.observe(frame, seen.aspect);
            for rule in &mut self.zones {
                rule.observe(frame, &self.still, seen.aspect);
            }
            for rule in &mut self.lines {
                found.extend(rule.observe(frame, &seen.model));
            }
            for rule in &mut self.wrong_ways {
                rule.observe(frame, &self.gaits, seen.aspect);
            }
            if let Some(rule) = &mut self.running {
                rule.observe(frame, &self.gaits, seen.aspect);
            }
            if let Some(rule) = &mut self.fall {
                rule.observe(frame, &self.gaits);
            }
            if let Some(rule) = &mut self.left {
                rule.observe(frame, seen.aspect);
            }
            if let Some(rule) = &mut self.anomaly {
                rule.observe(frame, &self.gaits, utc_offset_ns);
            }
        }
        let Some(now_ns) = seen.frames.last().map(|f| f.pts_ns) else {
            return found;
        };
        for rule in &mut self.zones {
            found.extend(rule.findings(&seen.model));
        }
        found.extend(self.wrong_ways.iter_mut().filter_map(|rule| rule.finding(now_ns)));
        found.extend(self.running.iter_mut().flat_map(|rule| rule.findings(now_ns)));
        found.extend(self.fall.iter().flat_map(|rule| rule.findings(now_ns)));
        found.extend(self.anomaly.as_mut().and_then(|rule| rule.finding(now_ns)));
        found
    }

    /// The sounds of one window.
    pub fn hear(&mut self, heard: &HearingReport, utc_offset_ns: i64) -> Vec<Finding> {
        let mut found = self.sounds.observe(heard);
        found.extend(self.anomaly.as_mut().and_then(|rule| rule.hear(heard, utc_offset_ns)));
        found
    }

    /// What one picture of a window looks like as a whole.
    pub fn look(&mut self, look: &PictureStats, at_ns: u64) -> Vec<Finding> {
        self.tamper
            .iter_mut()
            .filter_map(|rule| rule.look(look, at_ns))
            .collect()
    }

    /// What stands in one picture of a window.
    pub fn stands(&mut self, cells: &Cells, at_ns: u64) -> Vec<Finding> {
        self.left.as_mut().map_or_else(Vec::new, |rule| rule.look(cells, at_ns))
    }

    /// Which part of the picture moves in a window, 0 to 1.
    pub fn moves(&mut self, part: f32, at_ns: u64, utc_offset_ns: i64) -> Option<Finding> {
        self.anomaly.as_mut()?.moves(part, at_ns, utc_offset_ns)
    }

    /// What it has learned of this camera, to be kept; None when it learns nothing.
    pub fn learned(&self) -> Option<Arc<str>> {
        self.anomaly.as_ref().map(|rule| rule.learned().into())
    }

    /// Takes up what it had learned before.
    ///
    /// # Errors
    /// The text is not of a form that this version knows; it then begins anew.
    pub fn recall(&mut self, learned: &str) -> Result<(), String> {
        self.anomaly.as_mut().map_or(Ok(()), |rule| rule.recall(learned))
    }

    /// What stood there under the rules before these ones stands there still: a parked car is no news because a zone was drawn anew.
    pub fn succeed(&mut self, before: Self) {
        self.still = before.still;
    }

    pub fn wants_fights(&self) -> bool {
        self.fight.is_some()
    }

    /// The clip of one window, beside what else is known of it.
    pub fn act(&mut self, reports: &Reports, blend: Option<&Blend>) -> Option<Finding> {
        let scene = Scene {
            acted: reports.acted()?,
            blend,
            seen: reports.seen(),
            heard: reports.heard_beside_clip(),
        };
        self.fight.as_mut()?.observe(&scene)
    }

    /// What people of a window seem to express; only of cameras that have opted in.
    pub fn feel(
        &mut self,
        mood: &Mood,
        seen: Option<&VisionReport>,
        heard: Option<&HearingReport>,
        window: Range<u64>,
    ) -> Vec<Finding> {
        let rules = self.moods.iter_mut();
        rules
            .filter_map(|rule| rule.observe(mood, seen, heard, &window))
            .collect()
    }

    /// How sure the kinds are that weigh several senses, whether that was a finding or not. Empties itself.
    pub fn judged(&mut self) -> Vec<(Kind, f32)> {
        let moods = self.moods.iter_mut().map(|rule| (rule.kind(), rule.judged.take()));
        let fight = self.fight.iter_mut().map(|rule| (Kind::Fight, rule.judged.take()));
        moods
            .chain(fight)
            .filter_map(|(kind, score)| Some((kind, score?)))
            .collect()
    }

    /// The stream was interrupted: tracks are new. What stood still may stand there still, under another id, so `still` goes on.
    pub fn reset(&mut self) {
        self.gaits.reset();
        self.zones.iter_mut().for_each(ZoneRule::reset);
        self.lines.iter_mut().for_each(LineRule::reset);
        self.wrong_ways.iter_mut().for_each(WrongWay::reset);
        self.running.iter_mut().for_each(Running::reset);
        self.fall.iter_mut().for_each(Fall::reset);
        self.left.iter_mut().for_each(Left::reset);
        self.tamper.iter_mut().for_each(Tamper::reset);
        self.anomaly.iter_mut().for_each(Anomaly::reset);
        self.sounds.reset();
        self.moods.iter_mut().for_each(MoodWatch::reset);
        self.fight.iter_mut().for_each(Fight::reset);
    }
}

fn anchor_point(anchor: Anchor, bbox: &BBox) -> Point {
    match anchor {
        Anchor::Bottom => bbox.bottom(),
        Anchor::Centre => bbox.centre(),
    }
}

/// An empty list of classes means every class.
fn counts(classes: &[Arc<str>], track: &Track) -> bool {
    classes.is_empty() || classes.contains(&track.class)
}

fn alert_track(track: &Track) -> AlertTrack {
    AlertTrack {
        id: track.id,
        class: track.class.clone(),
        score: track.score,
        bbox: track.bbox,
    }
}

fn seen_as(track: &Track, score: f32, model: &Arc<str>, at_ns: u64) -> Evidence {
    Evidence {
        modality: Modality::Video,
        model: model.clone(),
        label: track.class.clone(),
        score,
        contribution: contribution(score, PRIOR),
        at_ns,
    }
}

/// What a rule says of what it saw. Its score is a judgement, not a measured probability.
fn by_rule(rule: &str, label: String, score: f32, at_ns: u64) -> Evidence {
    Evidence {
        modality: Modality::Video,
        model: format!("rule:{rule}").into(),
        label: label.into(),
        score,
        contribution: contribution(score, PRIOR),
        at_ns,
    }
}

/// What a rule that counts in log-odds says: its weight, and what that looks like as a probability.
fn weighed(modality: Modality, rule: &str, label: &str, contribution: f32, at_ns: u64) -> Evidence {
    Evidence {
        modality,
        model: format!("rule:{rule}").into(),
        label: label.into(),
        score: sigmoid(contribution),
        contribution,
        at_ns,
    }
}

/// A finding of no place, with nobody in it.
fn found(kind: Kind, prior: f32, evidence: Vec<Evidence>, at_ns: u64) -> Finding {
    Finding {
        last_ns: evidence.iter().map(|e| e.at_ns).fold(at_ns, u64::max),
        kind,
        zone: None,
        direction: None,
        key_track: None,
        tracks: Vec::new(),
        prior,
        score: pool(prior, &evidence),
        evidence,
        severity: None,
        at_ns,
    }
}

/// A finding that rests on one piece of evidence.
fn told_by(kind: Kind, evidence: Evidence) -> Finding {
    let at_ns = evidence.at_ns;
    found(kind, PRIOR, vec![evidence], at_ns)
}
