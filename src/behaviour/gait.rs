//! How each track has moved over the last seconds, in units of its own height: near and far look alike then.

use std::collections::{HashMap, VecDeque};

use crate::data::TrackedFrame;

/// Steps are remembered for so long.
const MEMORY_NS: u64 = 6_000_000_000;
/// Frames closer together than this give one step: between them is more tremble than way.
const STEP_NS: u64 = 120_000_000;
/// A box that comes so near to the picture's edge is cut off by it.
const EDGE: f32 = 0.01;

/// Where a box was at one frame. Lengths are in heights of the picture, sideways too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub at_ns: u64,
    /// Middle of the box.
    pub x: f32,
    pub y: f32,
    pub top: f32,
    pub bottom: f32,
    pub width: f32,
    pub height: f32,
    /// An edge of the picture cuts it off: its size is not all of it.
    pub cut: bool,
    /// The left or the right edge does.
    pub cut_sideways: bool,
}

#[derive(Default)]
pub(super) struct Gaits {
    tracks: HashMap<u64, VecDeque<Step>>,
}

/// Speed and way over a stretch of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Motion {
    /// Net speed in body heights a second, towards the right and downwards.
    pub vx: f32,
    pub vy: f32,
    /// Length of the straight way over that of the way walked, 0 to 1.
    pub straightness: f32,
}

impl Motion {
    pub fn speed(&self) -> f32 {
        self.vx.hypot(self.vy)
    }
}

impl Gaits {
    pub fn observe(&mut self, frame: &TrackedFrame, aspect: f32) {
        for track in frame.tracks.iter().filter(|t| t.seen) {
            let steps = self.tracks.entry(track.id).or_default();
            let b = &track.bbox;
            if steps
                .back()
                .is_some_and(|s| frame.pts_ns.saturating_sub(s.at_ns) < STEP_NS)
            {
                continue;
            }
            let centre = b.centre();
            let cut_sideways = b.x1 < EDGE || b.x2 > 1.0 - EDGE;
            steps.push_back(Step {
                at_ns: frame.pts_ns,
                x: centre.x * aspect,
                y: centre.y,
                top: b.y1,
                bottom: b.y2,
                width: b.width() * aspect,
                height: b.height(),
                cut: cut_sideways || b.y1 < EDGE || b.y2 > 1.0 - EDGE,
                cut_sideways,
            });
        }
        self.tracks.retain(|_, steps| {
            while steps
                .front()
                .is_some_and(|s| frame.pts_ns.saturating_sub(s.at_ns) > MEMORY_NS)
            {
                steps.pop_front();
            }
            !steps.is_empty()
        });
    }

    pub fn reset(&mut self) {
        self.tracks.clear();
    }

    /// The steps of a track, oldest first.
    pub fn steps(&self, id: u64) -> impl DoubleEndedIterator<Item = &Step> + Clone {
        self.tracks.get(&id).into_iter().flatten()
    }

    /// Every track that has steps.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.tracks.keys().copied()
    }

    /// Net speed of the middle of a box over its last `span_s`, to the right and downwards, in heights of the picture a
    /// second; also of one that the picture's edge cuts off. None of a box that is new.
    pub fn drift(&self, id: u64, span_s: f32) -> Option<(f32, f32)> {
        let last = self.steps(id).next_back()?;
        let is_recent = |s: &&Step| (last.at_ns - s.at_ns) as f32 <= (span_s + 0.05) * 1e9;
        let first = self.steps(id).find(is_recent)?;
        let dt_s = (last.at_ns - first.at_ns) as f32 / 1e9;
        (dt_s > 0.0).then(|| ((last.x - first.x) / dt_s, (last.y - first.y) / dt_s))
    }

    /// How a track moved over the last `span_s`. None while it is not known for that long, or while the picture's edge
    /// cuts it off.
    ///
    /// The median over the steps says how fast most of them were, and the net way over all of them how far it came; the
    /// lesser of the two speeds counts. One jump to another person's box moves the net way but not the median, and a
    /// trembling box moves neither.
    pub fn motion(&self, id: u64, span_s: f32) -> Option<Motion> {
        let now_ns = self.steps(id).next_back()?.at_ns;
        let recent: Vec<&Step> = self
            .steps(id)
            .filter(|s| (now_ns - s.at_ns) as f32 <= (span_s + 0.05) * 1e9)
            .collect();
        let (first, last) = (recent.first()?, recent.last()?);
        let dt_s = (last.at_ns - first.at_ns) as f32 / 1e9;
        if recent.len() < 4 || dt_s < 0.7 * span_s || recent.iter().filter(|s| s.cut).count() * 3 > recent.len() {
            return None;
        }
        let height = upper(recent.iter().map(|s| s.height).collect()).max(1e-3);
        let (mut vx, mut vy, mut way) = (Vec::new(), Vec::new(), 0.0);
        for pair in recent.windows(2) {
            let step_s = (pair[1].at_ns - pair[0].at_ns) as f32 / 1e9;
            let (dx, dy) = (pair[1].x - pair[0].x, pair[1].y - pair[0].y);
            vx.push(dx / step_s);
            vy.push(dy / step_s);
            way += dx.hypot(dy);
        }
        let (dx, dy) = (last.x - first.x, last.y - first.y);
        let net = dx.hypot(dy);
        let typical = median(vx).hypot(median(vy));
        let speed = (net / dt_s).min(typical) / height;
        let scale = speed / net.max(1e-6);
        Some(Motion {
            vx: dx * scale,
            vy: dy * scale,
            straightness: net / way.max(1e-6),
        })
    }
}

pub(super) fn median(mut v: Vec<f32>) -> f32 {
    v.sort_by(f32::total_cmp);
    v.get(v.len() / 2).copied().unwrap_or(0.0)
}

/// The value that a quarter of them exceed: a body is seldom seen taller than it is, and often shorter.
fn upper(mut v: Vec<f32>) -> f32 {
    v.sort_by(f32::total_cmp);
    v.get(v.len() * 3 / 4).copied().unwrap_or(0.0)
}
