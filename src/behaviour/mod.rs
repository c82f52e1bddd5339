//! Turns tracks and sounds into findings. Pure.

use std::sync::Arc;

use crate::data::{Direction, Kind, Point};

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
}
