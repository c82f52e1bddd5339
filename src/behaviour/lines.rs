//! Directed line crossings, with hysteresis against a trembling box.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Line, alert_track, anchor_point, counts, seen_as, told_by};
use crate::data::{BBox, Direction, Finding, Kind, Track, TrackedFrame};
use crate::geometry::{along, right_of};

/// A track has cleared the line when its anchor is farther from it than this part of its box's extent across the line:
/// of its width where the line is upright. Boxes tremble in proportion to that.
const CLEAR: f32 = 0.1;
/// Boxes jump where the picture's edge cuts them and where the detector is unsure. So for a moment after a crossing only a
/// box of at least this score that is whole and lies all beyond the line comes back over it.
const JUMPS_NS: u64 = 4_000_000_000;
const FIRM_SCORE: f32 = 0.25;
const FIRM_CLEAR: f32 = 0.5;
const EDGE: f32 = 0.01;
/// A track that was not seen for so long is forgotten.
const FORGET_NS: u64 = 5_000_000_000;

pub(super) struct LineRule {
    line: Line,
    walkers: HashMap<u64, Walker>,
}

struct Walker {
    /// On which side it was last clear of the line: true is right.
    right: Option<bool>,
    /// Newest frame: distance to the right, place along the line, time.
    last: (f32, f32, u64),
    /// The crossing point and time of the line itself, since it was last clear.
    crossed: Option<(f32, u64)>,
    /// When its last crossing was complete.
    told_ns: Option<u64>,
}

impl LineRule {
    pub fn new(line: Line) -> Self {
        Self {
            line,
            walkers: HashMap::new(),
        }
    }

    pub fn reset(&mut self) {
        self.walkers.clear();
    }

    pub fn observe(&mut self, frame: &TrackedFrame, model: &Arc<str>) -> Vec<Finding> {
        let now_ns = frame.pts_ns;
        let mut found = Vec::new();
        for track in &frame.tracks {
            if !track.seen || !counts(&self.line.classes, track) {
                continue;
            }
            let Some((direction, at_ns)) = self.step(track, now_ns) else {
                continue;
            };
            if self.line.direction.is_none_or(|wanted| wanted == direction) {
                found.push(finding(Kind::LineCrossing, &self.line, track, direction, at_ns, model));
            }
            if self.line.way.is_some_and(|way| way != direction) {
                found.push(finding(Kind::WrongWay, &self.line, track, direction, at_ns, model));
            }
        }
        self.walkers.retain(|_, w| now_ns.saturating_sub(w.last.2) < FORGET_NS);
        found
    }

    /// The way and time of a crossing that this frame completes.
    fn step(&mut self, track: &Track, now_ns: u64) -> Option<(Direction, u64)> {
        let p = anchor_point(self.line.anchor, &track.bbox);
        let (side, place) = (
            right_of(self.line.from, self.line.to, p),
            along(self.line.from, self.line.to, p),
        );
        let extent = across(&self.line, &track.bbox);
        let clear = (side.abs() > CLEAR * extent).then_some(side > 0.0);
        let walker = self.walkers.entry(track.id).or_insert(Walker {
            right: clear,
            last: (side, place, now_ns),
            crossed: None,
            told_ns: None,
        });
        let (was, was_place, was_ns) = walker.last;
        if (was > 0.0) != (side > 0.0) {
            let part = was / (was - side);
            let at_ns = was_ns + ((now_ns - was_ns) as f32 * part) as u64;
            walker.crossed = Some((was_place + (place - was_place) * part, at_ns));
        }
        walker.last = (side, place, now_ns);
        let now_right = clear?;
        let is_back = walker.right.is_some_and(|was| was != now_right);
        let soon = walker
            .told_ns
            .is_some_and(|told| now_ns.saturating_sub(told) < JUMPS_NS);
        if is_back && soon && !(side.abs() > FIRM_CLEAR * extent && is_firm(&self.line, track)) {
            return None;
        }
        let was_right = walker.right.replace(now_right);
        let crossed = walker.crossed.take();
        if was_right? == now_right {
            return None;
        }
        walker.told_ns = Some(now_ns);
        let (at_place, at_ns) = crossed?;
        // Beside the line's ends is not across it.
        let direction = if now_right {
            Direction::LeftToRight
        } else {
            Direction::RightToLeft
        };
        (0.0..=1.0).contains(&at_place).then_some((direction, at_ns))
    }
}

/// Whether the box is surely where it is: the picture's edges that lie along the line do not cut it.
fn is_firm(line: &Line, track: &Track) -> bool {
    let upright = (line.to.y - line.from.y).abs() > (line.to.x - line.from.x).abs();
    let (low, high) = if upright {
        (track.bbox.x1, track.bbox.x2)
    } else {
        (track.bbox.y1, track.bbox.y2)
    };
    track.score >= FIRM_SCORE && low > EDGE && high < 1.0 - EDGE
}

/// Extent of a box at right angles to the line, in the units of `right_of`.
fn across(line: &Line, bbox: &BBox) -> f32 {
    let (dx, dy) = (line.to.x - line.from.x, line.to.y - line.from.y);
    (dx.abs() * bbox.height() + dy.abs() * bbox.width()) / dx.hypot(dy).max(f32::EPSILON)
}

fn finding(kind: Kind, line: &Line, track: &Track, direction: Direction, at_ns: u64, model: &Arc<str>) -> Finding {
    Finding {
        zone: Some(line.name.clone()),
        direction: Some(direction),
        key_track: Some(track.id),
        tracks: vec![alert_track(track)],
        ..told_by(kind, seen_as(track, track.score, model, at_ns))
    }
}
