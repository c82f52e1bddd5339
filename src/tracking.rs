//! Follows detections over frames.
//!
//! Two-step association after ByteTrack (Zhang et al., ECCV 2022): confident detections are matched first, then weak
//! ones to the tracks that are left. Motion is a constant-velocity Kalman filter over the box's centre and size. At a
//! few frames a second a person may move by more than a box, so the match is by overlap first, then by distance in box
//! heights.

mod kalman;

use std::sync::Arc;

use crate::data::{Detection, Track};
use crate::geometry::distance;
use kalman::Motion;

#[derive(Clone, Debug, PartialEq)]
pub struct TrackerOptions {
    /// By class: detections from this score on take part in the first association and may open a track. A class that is
    /// not listed takes [`HIGH`].
    pub high: Arc<[f32]>,
    /// Weaker ones, down to this score, only carry on a track that is there.
    pub low: f32,
    /// Detections that a new track needs before it is told of.
    pub min_hits: u32,
    /// A track that is not seen for so long is forgotten; found before that, it keeps its id.
    pub max_lost_s: f32,
    /// Farthest match, in box heights a second of time passed (at least one frame's worth at 5 fps).
    pub reach_heights_per_s: f32,
}

impl Default for TrackerOptions {
    fn default() -> Self {
        Self {
            high: Arc::default(),
            low: 0.12,
            min_hits: 2,
            max_lost_s: 2.0,
            reach_heights_per_s: 2.5,
        }
    }
}

/// For detectors that have no thresholds of their own.
const HIGH: f32 = 0.35;
/// What was detected so often is there, and no flicker.
const STEADY_HITS: u32 = 3;
/// A detector often takes one of these for another, from one frame to the next; a track is what it was taken for most.
const ALIKE: [&str; 3] = ["car", "bus", "truck"];
/// After so long without a look everybody may have gone, and somebody else have come.
const BLIND_NS: u64 = 5_000_000_000;
/// Boxes of alike classes that overlap more are one object.
const SAME_IOU: f32 = 0.6;

/// Follows the objects of one camera.
pub struct Tracker {
    options: TrackerOptions,
    live: Vec<Live>,
    next_id: u64,
    last_ns: Option<u64>,
    aspect: f32,
}

struct Live {
    id: u64,
    /// Sums of scores by class: what it was taken for.
    votes: Vec<f32>,
    score: f32,
    motion: Motion,
    hits: u32,
    born_ns: u64,
    seen_ns: u64,
    seen_now: bool,
}

impl Tracker {
    pub fn new(options: TrackerOptions) -> Self {
        Self {
            options,
            live: Vec::new(),
            next_id: 1,
            last_ns: None,
            aspect: 1.0,
        }
    }

    /// Width over height of the pictures.
    pub fn set_aspect(&mut self, aspect: f32) {
        self.aspect = aspect;
    }

    /// Forgets the tracks; ids go on.
    pub fn reset(&mut self) {
        self.live.clear();
        self.last_ns = None;
    }

    /// A frame that is not looked at, because nothing moves: whoever is followed still stands there. What was hardly seen
    /// before is forgotten. Returns the tracks as they stand, as [`Self::update`] does.
    pub fn still(&mut self, labels: &[Arc<str>], pts_ns: u64) -> Vec<Track> {
        let _ = self.go_on(pts_ns);
        self.live.retain(|t| t.hits >= STEADY_HITS);
        for track in &mut self.live {
            track.motion.stop();
            (track.seen_ns, track.seen_now) = (pts_ns, true);
        }
        self.live.iter().filter_map(|t| t.as_track(labels)).collect()
    }

    /// Whether the newest frame showed everybody who is followed, and nobody new.
    pub fn is_steady(&self) -> bool {
        self.live.iter().all(|t| t.seen_now && t.hits >= STEADY_HITS)
    }

    /// One frame. `labels` names the classes. Returns the confirmed tracks as they stand now, oldest first; those
    /// with `seen == false` are predicted during a short loss.
    pub fn update(&mut self, detections: &[Detection], labels: &[Arc<str>], pts_ns: u64) -> Vec<Track> {
        let dt_s = self.go_on(pts_ns) as f32 / 1e9;
        for track in &mut self.live {
            track.motion.predict(dt_s);
            track.seen_now = false;
        }
        let detections = told_apart(detections, labels);
        let high = |class: usize| self.options.high.get(class).copied().unwrap_or(HIGH);
        let (strong, weak): (Vec<&Detection>, Vec<&Detection>) = detections
            .into_iter()
            .filter(|d| d.score >= self.options.low.min(high(d.class)))
            .partition(|d| d.score >= high(d.class));
        let unmatched = self.associate(&strong, labels, pts_ns, true);
        let _ = self.associate(&weak, labels, pts_ns, false);
        for detection in unmatched {
            let mut votes = vec![0.0; labels.len().max(detection.class + 1)];
            votes[detection.class] = detection.score;
            self.live.push(Live {
                id: self.next_id,
                votes,
                score: detection.score,
                motion: Motion::new(detection.bbox),
                hits: 1,
                born_ns: pts_ns,
                seen_ns: pts_ns,
                seen_now: true,
            });
            self.next_id += 1;
        }
        let (min_hits, keep_ns) = (self.options.min_hits, (self.options.max_lost_s * 1e9) as u64);
        // A track that was seen once only must be seen again soon: most are flickers.
        self.live
            .retain(|t| pts_ns.saturating_sub(t.seen_ns) <= if t.hits < min_hits { keep_ns / 3 } else { keep_ns });
        self.live
            .iter()
            .filter(|t| t.hits >= min_hits)
            .filter_map(|t| t.as_track(labels))
            .collect()
    }

    /// Nanoseconds since the frame before. Nobody is followed over a stretch that was not looked at, because the model failed or was
    /// too slow.
    fn go_on(&mut self, pts_ns: u64) -> u64 {
        let since_ns = self.last_ns.map_or(0, |last| pts_ns.saturating_sub(last));
        if since_ns > BLIND_NS {
            self.live.clear();
        }
        self.last_ns = Some(pts_ns);
        since_ns
    }

    /// Greedy by rising cost; returns the detections that found no track.
    fn associate<'a>(
        &mut self,
        detections: &[&'a Detection],
        labels: &[Arc<str>],
        pts_ns: u64,
        by_distance: bool,
    ) -> Vec<&'a Detection> {
        let mut pairs = Vec::new();
        for (t, track) in self.live.iter().enumerate().filter(|(_, t)| !t.seen_now) {
            let lost_s = pts_ns.saturating_sub(track.seen_ns) as f32 / 1e9;
            let class = track.class();
            let fits = |d: &Detection| are_alike(labels, d.class, class);
            for (d, detection) in detections.iter().enumerate().filter(|(_, d)| fits(d)) {
                if let Some(cost) = self.cost(track, detection, lost_s, by_distance) {
                    pairs.push((cost, t, d));
                }
            }
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut taken = vec![false; detections.len()];
        for (_, t, d) in pairs {
            let track = &mut self.live[t];
            if track.seen_now || taken[d] {
                continue;
            }
            taken[d] = true;
            track.motion.correct(detections[d].bbox);
            track.score = detections[d].score;
            if let Some(votes) = track.votes.get_mut(detections[d].class) {
                *votes += detections[d].score;
            }
            track.hits += 1;
            track.seen_ns = pts_ns;
            track.seen_now = true;
        }
        detections
            .iter()
            .zip(taken)
            .filter(|(_, taken)| !taken)
            .map(|(d, _)| *d)
            .collect()
    }

    /// None when the two cannot be the same object. Overlap costs 0 to 1, distance 1 to 2.
    fn cost(&self, track: &Live, detection: &Detection, lost_s: f32, by_distance: bool) -> Option<f32> {
        let here = track.motion.bbox();
        let iou = here.iou(&detection.bbox);
        if iou > 0.2 {
            return Some(1.0 - iou);
        }
        let (h1, h2) = (here.height(), detection.bbox.height());
        if !by_distance || h1.min(h2) < 0.5 * h1.max(h2) {
            return None;
        }
        let size = (h1 + h2) / 2.0;
        let reach = size * self.options.reach_heights_per_s * lost_s.clamp(0.2, 0.6);
        let away = distance(here.centre(), detection.bbox.centre(), self.aspect);
        (away < reach).then(|| 1.0 + away / reach)
    }
}

fn are_alike(labels: &[Arc<str>], a: usize, b: usize) -> bool {
    let alike = |class: usize| labels.get(class).is_some_and(|l| ALIKE.contains(&&**l));
    a == b || (alike(a) && alike(b))
}

/// Without the weaker of two that lie on one another and are alike: one object, taken for two.
fn told_apart<'a>(detections: &'a [Detection], labels: &[Arc<str>]) -> Vec<&'a Detection> {
    let again = |one: &Detection| {
        detections.iter().any(|other| {
            other.score > one.score
                && other.class != one.class
                && are_alike(labels, one.class, other.class)
                && one.bbox.iou(&other.bbox) > SAME_IOU
        })
    };
    detections.iter().filter(|d| !again(d)).collect()
}

impl Live {
    /// What it was taken for most; the first of equals.
    fn class(&self) -> usize {
        let votes = self.votes.iter().enumerate().rev();
        votes.max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class)
    }

    fn as_track(&self, labels: &[Arc<str>]) -> Option<Track> {
        Some(Track {
            id: self.id,
            class: labels.get(self.class())?.clone(),
            score: self.score,
            bbox: self.motion.bbox().clipped(),
            seen: self.seen_now,
            hits: self.hits,
            born_ns: self.born_ns,
        })
    }
}

#[cfg(test)]
mod tests;
