//! Turns tracks and sounds into findings. Pure: no clock, no I/O, no tensor. One rule a file.

mod fight;
mod lines;
mod sounds;
mod still;
mod zones;

use std::sync::Arc;

use crate::data::{
    AlertTrack, BBox, Direction, Evidence, Finding, HearingReport, Kind, Modality, Point, Reports, Track, VisionReport,
};
use crate::fusion::{Blend, contribution};
pub use fight::FightOptions;
use fight::{Fight, Scene};
use lines::LineRule;
use sounds::SoundRules;
use still::Stillness;
use zones::ZoneRule;

/// Where on a track's box its place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Anchor {
    #[default]
    Bottom,
    Centre,
}

/// A zone of the picture and what counts in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    pub name: Arc<str>,
    pub polygon: Vec<Point>,
    pub kinds: Vec<Kind>,
    pub classes: Vec<Arc<str>>,
    pub anchor: Anchor,
    /// Seconds inside before `loitering`.
    pub loiter_s: f32,
    /// Persons (or other `classes`) inside at once for `crowd`.
    pub crowd_size: u32,
    /// Frames inside before a track counts.
    pub min_frames: u32,
    /// Height of a box in fractions of the picture.
    pub min_height: f32,
    pub max_height: f32,
    /// Least detector score by class; a class that is not named takes the model's threshold.
    pub min_score: Vec<(Arc<str>, f32)>,
}

/// A directed line: left and right are seen looking from `from` to `to`.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub name: Arc<str>,
    pub from: Point,
    pub to: Point,
    /// None: both ways.
    pub direction: Option<Direction>,
    pub classes: Vec<Arc<str>>,
    pub anchor: Anchor,
}

/// What a sound kind needs.
#[derive(Clone, Debug, PartialEq)]
pub struct SoundRule {
    pub kind: Kind,
    /// Least probability of a patch.
    pub threshold: f32,
    /// Patches in a row over the threshold.
    pub min_windows: u32,
}

/// Everything that one camera looks and listens for.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct BehaviourOptions {
    pub zones: Vec<Zone>,
    pub lines: Vec<Line>,
    pub sounds: Vec<SoundRule>,
    /// None: the camera does not look for it.
    pub fight: Option<FightOptions>,
}

impl Zone {
    /// A zone with the defaults of the configuration.
    pub fn new(name: &str, polygon: Vec<Point>) -> Self {
        Self {
            name: name.into(),
            polygon,
            kinds: vec![Kind::Intrusion],
            classes: vec!["person".into()],
            anchor: Anchor::Bottom,
            loiter_s: 60.0,
            crowd_size: 8,
            min_frames: 3,
            min_height: 0.0,
            max_height: 1.0,
            min_score: Vec::new(),
        }
    }
}

/// Every kind starts from this probability that a window holds it; evidence moves it.
const PRIOR: f32 = 0.1;

/// One camera's rules and what they remember.
pub struct Behaviour {
    still: Stillness,
    zones: Vec<ZoneRule>,
    lines: Vec<LineRule>,
    sounds: SoundRules,
    fight: Option<Fight>,
}

impl Behaviour {
    pub fn new(options: BehaviourOptions) -> Self {
        Self {
            still: Stillness::default(),
            zones: options.zones.into_iter().map(ZoneRule::new).collect(),
            lines: options.lines.into_iter().map(LineRule::new).collect(),
            sounds: SoundRules::new(options.sounds),
            fight: options.fight.map(Fight::new),
        }
    }

    /// The tracks of one window. Presence is found anew for every window in which it holds.
    pub fn see(&mut self, seen: &VisionReport) -> Vec<Finding> {
        let mut found = Vec::new();
        for frame in &seen.frames {
            self.still.observe(frame);
            for rule in &mut self.zones {
                rule.observe(frame, &self.still);
            }
            for rule in &mut self.lines {
                found.extend(rule.observe(frame, &seen.model));
            }
        }
        for rule in &mut self.zones {
            found.extend(rule.findings(&seen.model));
        }
        found
    }

    /// The sounds of one window.
    pub fn hear(&mut self, heard: &HearingReport) -> Vec<Finding> {
        self.sounds.observe(heard)
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
            heard: reports.heard(),
        };
        self.fight.as_mut()?.observe(&scene)
    }

    /// The stream was interrupted: tracks are new, but what stood still still stands there.
    pub fn reset(&mut self) {
        self.still.forget_tracks();
        self.zones.iter_mut().for_each(ZoneRule::reset);
        self.lines.iter_mut().for_each(LineRule::reset);
        self.sounds.reset();
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
