//! What a camera's rules are told: its zones and lines, and which kinds are watched for and how.

use std::sync::Arc;

use super::{AnomalyOptions, FallOptions, FightOptions, LeftOptions, RunningOptions, TamperOptions, counts};
use crate::data::{Direction, Kind, Point, Track};

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
    /// Persons on an area of one body height squared, as seen in the picture, for `crowd`. 0: only their number counts.
    pub crowd_density: f32,
    /// The allowed way, from one point to another, for `wrong_way`.
    pub way: Option<(Point, Point)>,
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
    /// The allowed way, for `wrong_way`.
    pub way: Option<Direction>,
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

/// What `aggression` or `distress` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct MoodRule {
    pub kind: Kind,
    /// Least pooled probability of a window.
    pub threshold: f32,
    /// Seconds that it lasts while both picture and sound argue for it.
    pub min_s: f32,
    /// Probability that a window holds it, before anything is seen or heard.
    pub prior: f32,
}

impl MoodRule {
    pub fn default_for(kind: Kind) -> Self {
        Self {
            kind,
            threshold: 0.5,
            min_s: 3.0,
            prior: 0.05,
        }
    }

    /// Seconds that it lasts where only one of the two does.
    pub fn alone_s(&self) -> f32 {
        4.0 * self.min_s
    }
}

/// Everything that one camera looks and listens for.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct BehaviourOptions {
    pub zones: Vec<Zone>,
    pub lines: Vec<Line>,
    pub sounds: Vec<SoundRule>,
    pub moods: Vec<MoodRule>,
    /// None: the camera does not look for it.
    pub running: Option<RunningOptions>,
    pub fall: Option<FallOptions>,
    pub fight: Option<FightOptions>,
    pub left: Option<LeftOptions>,
    pub tamper: Option<TamperOptions>,
    pub anomaly: Option<AnomalyOptions>,
}

impl BehaviourOptions {
    /// Other kinds than those configured: what needs no zone and no line is taken from `other`, where it is new.
    pub fn take_kinds(&mut self, other: Self) {
        let own = std::mem::take(&mut self.sounds);
        let kept = |kind| own.iter().find(|s| s.kind == kind).cloned();
        self.sounds = other.sounds.into_iter().map(|s| kept(s.kind).unwrap_or(s)).collect();
        let own = std::mem::take(&mut self.moods);
        let kept = |kind| own.iter().find(|m| m.kind == kind).cloned();
        self.moods = other.moods.into_iter().map(|m| kept(m.kind).unwrap_or(m)).collect();
        self.running = other.running.map(|new| self.running.take().unwrap_or(new));
        self.fall = other.fall.map(|new| self.fall.take().unwrap_or(new));
        self.fight = other.fight.map(|new| self.fight.take().unwrap_or(new));
        self.left = other.left.map(|new| self.left.take().unwrap_or(new));
        self.tamper = other.tamper.map(|new| self.tamper.take().unwrap_or(new));
        self.anomaly = other.anomaly.map(|new| self.anomaly.take().unwrap_or(new));
    }
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
            crowd_density: 0.0,
            way: None,
            min_frames: 3,
            min_height: 0.0,
            max_height: 1.0,
            min_score: Vec::new(),
        }
    }

    /// Whether it is about tracks of this class and height.
    pub(super) fn is_about(&self, track: &Track) -> bool {
        counts(&self.classes, track) && (self.min_height..=self.max_height).contains(&track.bbox.height())
    }
}
