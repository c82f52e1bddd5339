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
/// What carries somebody moves by this part of their way. Half of it is seen of a box that the picture's edge cuts off; one that
/// is parked only trembles.
const ALONG: f32 = 0.3;
/// A box wider or higher than this part of the picture is cut off on both sides, as far as boxes are true, and how it moves that way
/// is not seen.
const WHOLE: f32 = 0.9;
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
            let counts = !zones.is_empty() && !is_carried(track, frame, gaits, aspect);
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

/// Whether it rides or drives: a bicycle under it, or a vehicle around it, that does not stand while it passes.
fn is_carried(track: &Track, frame: &TrackedFrame, gaits: &Gaits, aspect: f32) -> bool {
    let own = &track.bbox;
    let is_about = |other: &Track| match &*other.class {
        "bicycle" | "motorcycle" => {
            let apart_x = (own.centre().x - other.bbox.centre().x).abs() * aspect;
            let low_enough = (other.bbox.y1..other.bbox.y2 + 0.3 * own.height()).contains(&own.y2);
            apart_x < 0.5 * own.height() && low_enough
        }
        "car" | "bus" | "truck" => overlap(own, &other.bbox) > 0.6 * own.area(),
        _ => false,
    };
    let others = frame.tracks.iter().filter(|t| t.id != track.id);
    others
        .filter(|other| is_about(other))
        .any(|other| comes_along(track, other, gaits))
}

/// Whether the vehicle moves while the one in it does, whichever way its box jumps; also where that is not known.
fn comes_along(track: &Track, vehicle: &Track, gaits: &Gaits) -> bool {
    let drift = |t: &Track| gaits.drift(t.id, SPAN_S);
    let (Some((x, y)), Some((vx, vy))) = (drift(track), drift(vehicle)) else {
        return true;
    };
    let is_cut = vehicle.bbox.height() > WHOLE;
    let (y, vy) = if is_cut { (0.0, 0.0) } else { (y, vy) };
    vehicle.bbox.width() > WHOLE || vx.hypot(vy) >= ALONG * x.hypot(y)
}

fn overlap(a: &BBox, b: &BBox) -> f32 {
    let w = (a.x2.min(b.x2) - a.x1.max(b.x1)).max(0.0);
    let h = (a.y2.min(b.y2) - a.y1.max(b.y1)).max(0.0);
    w * h
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(id: u64, class: &str, [x1, y1, x2, y2]: [f32; 4]) -> Track {
        Track {
            id,
            class: class.into(),
            score: 0.9,
            bbox: BBox { x1, y1, x2, y2 },
            seen: true,
            hits: 9,
            born_ns: 0,
        }
    }

    /// Windows may be two seconds long.
    #[test]
    fn who_ran_and_is_gone_when_a_long_window_ends_is_told() {
        let (mut gaits, mut rule) = (Gaits::default(), Running::new(RunningOptions::default(), &[]));
        let mut told = Vec::new();
        for i in 1..=40u64 {
            let (pts_ns, x) = (i * 200_000_000, 0.04 * i as f32);
            // Out of the picture after 2.8 s.
            let runner = track(1, "person", [x, 0.5, x + 0.04, 0.6]);
            let frame = TrackedFrame {
                pts_ns,
                tracks: if i <= 14 { vec![runner] } else { Vec::new() },
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

    /// Whether somebody is told of who moves to the right and downwards for 3 s before a lorry, by so many tenths of the picture in a second;
    /// the lorry moves to the right alone.
    fn runs(person: [f32; 2], lorry: [f32; 4], speed: f32) -> bool {
        let (mut gaits, mut rule) = (Gaits::default(), Running::new(RunningOptions::default(), &[]));
        let mut told = false;
        for i in 1..=15u64 {
            let (pts_ns, tenths) = (i * 200_000_000, 0.02 * i as f32);
            let (x, y, moved) = (person[0] * tenths, person[1] * tenths, speed * tenths);
            let [x1, y1, x2, y2] = lorry;
            let frame = TrackedFrame {
                pts_ns,
                tracks: vec![
                    track(1, "person", [0.3 + x, 0.1 + y, 0.34 + x, 0.2 + y]),
                    track(2, "truck", [x1 + moved, y1, x2 + moved, y2]),
                ],
            };
            gaits.observe(&frame, 1.0);
            rule.observe(&frame, &gaits, 1.0);
            told |= !rule.findings(pts_ns).is_empty();
        }
        told
    }

    #[test]
    fn what_carries_somebody_moves_while_they_do_as_far_as_its_ends_are_seen() {
        let (right, down) = ([2.0, 0.0], [0.1, 2.0]);
        let lorry = [0.25, 0.05, 0.95, 0.9];
        assert!(runs(right, lorry, 0.0), "it is parked");
        assert!(!runs(right, lorry, 1.0));
        assert!(!runs(right, [0.05, 0.05, 0.97, 0.9], 0.0), "both ends are cut off");
        assert!(!runs(right, lorry, -0.8), "its box jumps the other way");
        assert!(runs(down, lorry, 0.1), "it is parked, and they run down the picture");
        assert!(!runs(down, [0.25, 0.02, 0.95, 0.98], 0.1), "head and foot are cut off");
    }
}
