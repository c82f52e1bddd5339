//! Somebody runs: faster than anybody walks, straight on, for a while.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::gait::Gaits;
use super::places::Places;
use super::{Zone, alert_track, by_rule, told_by};
use crate::data::{AlertTrack, BBox, Finding, Kind, Track, TrackedFrame};
use crate::fusion::sigmoid;

#[derive(Clone, Debug, PartialEq)]
pub struct RunningOptions {
    /// Body heights a second. Walking is 0.8, walking fast 1.1, jogging 1.5 to 1.8.
    pub speed: f32,
    /// It must last so long.
    pub min_s: f32,
}

impl Default for RunningOptions {
    fn default() -> Self {
        Self { speed: 1.7, min_s: 1.0 }
    }
}

/// Speed is measured over so long.
const SPAN_S: f32 = 1.0;
/// Whoever turns about at play covers less than this part of his way.
const STRAIGHT: f32 = 0.8;
/// Once running, it goes on until the speed falls below this part of the threshold.
const STILL_RUNNING: f32 = 0.8;

pub(super) struct Running {
    options: RunningOptions,
    places: Places,
    runners: BTreeMap<u64, Runner>,
}

struct Runner {
    since_ns: u64,
    last_ns: u64,
    /// Highest speed so far.
    best: f32,
    /// Since when in which zone.
    zones: BTreeMap<Option<Arc<str>>, u64>,
    track: AlertTrack,
}

impl Running {
    pub fn new(options: RunningOptions, zones: &[Zone]) -> Self {
        Self {
            options,
            places: Places::of(Kind::Running, zones),
            runners: BTreeMap::new(),
        }
    }

    pub fn reset(&mut self) {
        self.runners.clear();
    }

    pub fn observe(&mut self, frame: &TrackedFrame, gaits: &Gaits, aspect: f32) {
        for track in frame.tracks.iter().filter(|t| t.seen) {
            let zones = self.places.of_track(track);
            let counts = !zones.is_empty() && !is_carried(track, frame, aspect);
            let Some(motion) = gaits.motion(track.id, SPAN_S).filter(|_| counts) else {
                self.runners.remove(&track.id);
                continue;
            };
            let speed = motion.speed();
            let known = self.runners.contains_key(&track.id);
            let wanted = self.options.speed * if known { STILL_RUNNING } else { 1.0 };
            if speed < wanted || motion.straightness < STRAIGHT {
                self.runners.remove(&track.id);
                continue;
            }
            let runner = self.runners.entry(track.id).or_insert_with(|| Runner {
                since_ns: frame.pts_ns,
                last_ns: frame.pts_ns,
                best: speed,
                zones: BTreeMap::new(),
                track: alert_track(track),
            });
            runner.last_ns = frame.pts_ns;
            runner.zones.retain(|zone, _| zones.contains(zone));
            for zone in zones {
                runner.zones.entry(zone).or_insert(frame.pts_ns);
            }
            runner.best = runner.best.max(speed);
            runner.track = alert_track(track);
        }
        self.runners
            .retain(|_, r| frame.pts_ns.saturating_sub(r.last_ns) < 1_000_000_000);
    }

    /// One for each zone in which somebody runs.
    pub fn findings(&self, now_ns: u64) -> Vec<Finding> {
        let min_ns = (self.options.min_s * 1e9) as u64;
        let mut by_zone: BTreeMap<Option<Arc<str>>, Vec<&Runner>> = BTreeMap::new();
        for runner in self.runners.values() {
            if runner.last_ns - runner.since_ns >= min_ns && now_ns.saturating_sub(runner.last_ns) < 600_000_000 {
                for zone in runner.zones.keys() {
                    by_zone.entry(zone.clone()).or_default().push(runner);
                }
            }
        }
        by_zone
            .into_iter()
            .filter_map(|(zone, all)| self.finding(zone, &all))
            .collect()
    }

    fn finding(&self, zone: Option<Arc<str>>, runners: &[&Runner]) -> Option<Finding> {
        let best = runners.iter().max_by(|a, b| a.best.total_cmp(&b.best))?;
        let score = sigmoid(2.0 + 4.0 * (best.best / self.options.speed - 1.0));
        let label = format!("{:.1} body heights a second", best.best);
        let evidence = by_rule("running", label, score, best.last_ns);
        Some(Finding {
            at_ns: runners.iter().filter_map(|r| r.zones.get(&zone).copied()).min()?,
            zone,
            tracks: runners.iter().map(|r| r.track.clone()).collect(),
            ..told_by(Kind::Running, evidence)
        })
    }
}

/// Whether it rides or drives: a bicycle under it, or a vehicle around it.
fn is_carried(track: &Track, frame: &TrackedFrame, aspect: f32) -> bool {
    let own = &track.bbox;
    frame
        .tracks
        .iter()
        .filter(|t| t.id != track.id)
        .any(|other| match &*other.class {
            "bicycle" | "motorcycle" => {
                let apart_x = (own.centre().x - other.bbox.centre().x).abs() * aspect;
                let low_enough = (other.bbox.y1..other.bbox.y2 + 0.3 * own.height()).contains(&own.y2);
                apart_x < 0.5 * own.height() && low_enough
            }
            "car" | "bus" | "truck" => overlap(own, &other.bbox) > 0.6 * own.area(),
            _ => false,
        })
}

fn overlap(a: &BBox, b: &BBox) -> f32 {
    let w = (a.x2.min(b.x2) - a.x1.max(b.x1)).max(0.0);
    let h = (a.y2.min(b.y2) - a.y1.max(b.y1)).max(0.0);
    w * h
}
