//! Somebody runs: faster than anybody walks, straight on, for a while.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::gait::Gaits;
use super::places::Places;
use super::spells::{Spell, Spells};
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
    runners: Spells<Runner>,
}

struct Runner {
    /// Highest speed so far.
    best: f32,
    /// Since when in which zone.
    zones: BTreeMap<Option<Arc<str>>, u64>,
    track: AlertTrack,
}

impl Running {
    pub fn new(options: RunningOptions, zones: &[Zone]) -> Self {
        Self {
            runners: Spells::new((options.min_s * 1e9) as u64),
            options,
            places: Places::of(Kind::Running, zones),
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
                self.runners.stops(track.id);
                continue;
            };
            let speed = motion.speed();
            let known = self.runners.goes_on(track.id);
            let wanted = self.options.speed * if known { STILL_RUNNING } else { 1.0 };
            if speed < wanted || motion.straightness < STRAIGHT {
                self.runners.stops(track.id);
                continue;
            }
            let runner = self.runners.does(track.id, frame.pts_ns, || Runner {
                best: speed,
                zones: BTreeMap::new(),
                track: alert_track(track),
            });
            runner.zones.retain(|zone, _| zones.contains(zone));
            for zone in zones {
                runner.zones.entry(zone).or_insert(frame.pts_ns);
            }
            runner.best = runner.best.max(speed);
            runner.track = alert_track(track);
        }
        self.runners.forget_lost(frame.pts_ns);
    }

    /// One for each zone in which somebody runs.
    pub fn findings(&mut self, now_ns: u64) -> Vec<Finding> {
        let mut by_zone: BTreeMap<Option<Arc<str>>, Vec<&Spell<Runner>>> = BTreeMap::new();
        for run in self.runners.lasting(now_ns) {
            for zone in run.what.zones.keys() {
                by_zone.entry(zone.clone()).or_default().push(run);
            }
        }
        let speed = self.options.speed;
        by_zone
            .into_iter()
            .filter_map(|(zone, all)| finding(zone, &all, speed))
            .collect()
    }
}

/// `speed`: from where on it is running.
fn finding(zone: Option<Arc<str>>, runs: &[&Spell<Runner>], speed: f32) -> Option<Finding> {
    let best = runs.iter().max_by(|a, b| a.what.best.total_cmp(&b.what.best))?;
    let score = sigmoid(2.0 + 4.0 * (best.what.best / speed - 1.0));
    let label = format!("{:.1} body heights a second", best.what.best);
    let evidence = by_rule("running", label, score, best.last_ns);
    Some(Finding {
        at_ns: runs.iter().filter_map(|r| r.what.zones.get(&zone).copied()).min()?,
        zone,
        tracks: runs.iter().map(|r| r.what.track.clone()).collect(),
        ..told_by(Kind::Running, evidence)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows may be two seconds long.
    #[test]
    fn who_ran_and_is_gone_when_a_long_window_ends_is_told() {
        let (mut gaits, mut rule) = (Gaits::default(), Running::new(RunningOptions::default(), &[]));
        let mut told = Vec::new();
        for i in 1..=40u64 {
            let (pts_ns, x) = (i * 200_000_000, 0.04 * i as f32);
            // Out of the picture after 2.8 s.
            let track = Track {
                id: 1,
                class: "person".into(),
                score: 0.9,
                bbox: BBox {
                    x1: x,
                    y1: 0.5,
                    x2: x + 0.04,
                    y2: 0.6,
                },
                seen: true,
                hits: 9,
                born_ns: 0,
            };
            let frame = TrackedFrame {
                pts_ns,
                tracks: if i <= 14 { vec![track] } else { Vec::new() },
            };
            gaits.observe(&frame, 1.0);
            rule.observe(&frame, &gaits, 1.0);
            // Windows end at odd seconds.
            if i % 10 == 5 {
                told.push(rule.findings(pts_ns).len());
            }
        }
        assert_eq!(told, [0, 1, 0, 0]);
    }
}
