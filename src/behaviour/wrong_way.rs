//! Against the allowed way in a zone: a one-way lane, an escalator, an exit.

use super::gait::Gaits;
use super::spells::Spells;
use super::{Zone, alert_track, anchor_point, by_rule, told_by};
use crate::data::{AlertTrack, Finding, Kind, Point, TrackedFrame};
use crate::fusion::sigmoid;
use crate::geometry::inside;

/// The way is measured over so long.
const SPAN_S: f32 = 1.5;
/// Slower than this, in body heights a second, nobody goes anywhere.
const LEAST_SPEED: f32 = 0.25;
/// Against the way is within so much of its opposite: the cosine of 60°.
const AGAINST: f32 = 0.5;
/// It must last so long.
const LASTS_NS: u64 = 1_000_000_000;

pub(super) struct WrongWay {
    zone: Zone,
    way: (Point, Point),
    walkers: Spells<Walker>,
}

struct Walker {
    speed: f32,
    track: AlertTrack,
}

impl WrongWay {
    /// None when the zone has nothing to do with it.
    pub fn new(zone: &Zone) -> Option<Self> {
        let way = zone.way.filter(|_| zone.kinds.contains(&Kind::WrongWay))?;
        Some(Self {
            zone: zone.clone(),
            way,
            walkers: Spells::new(LASTS_NS),
        })
    }

    pub fn reset(&mut self) {
        self.walkers.clear();
    }

    pub fn observe(&mut self, frame: &TrackedFrame, gaits: &Gaits, aspect: f32) {
        let (from, to) = self.way;
        let (wx, wy) = ((to.x - from.x) * aspect, to.y - from.y);
        let length = wx.hypot(wy).max(f32::EPSILON);
        for track in frame.tracks.iter().filter(|t| t.seen) {
            if !self.zone.is_about(track) {
                continue;
            }
            let here = inside(&self.zone.polygon, anchor_point(self.zone.anchor, &track.bbox));
            let against = gaits.motion(track.id, SPAN_S).filter(|_| here).and_then(|m| {
                let along = (m.vx * wx + m.vy * wy) / length;
                (m.speed() >= LEAST_SPEED && along < -AGAINST * m.speed()).then_some(-along)
            });
            let Some(speed) = against else {
                self.walkers.stops(track.id);
                continue;
            };
            let walker = self.walkers.does(track.id, frame.pts_ns, || Walker {
                speed,
                track: alert_track(track),
            });
            walker.speed = walker.speed.max(speed);
            walker.track = alert_track(track);
        }
        self.walkers.forget_lost(frame.pts_ns);
    }

    pub fn finding(&mut self, now_ns: u64) -> Option<Finding> {
        let all = self.walkers.lasting(now_ns);
        let best = all.iter().max_by(|a, b| a.what.speed.total_cmp(&b.what.speed))?;
        let label = format!("{} against the way", best.what.track.class);
        let evidence = by_rule("wrong_way", label, sigmoid(2.0 + 2.0 * best.what.speed), best.last_ns);
        Some(Finding {
            zone: Some(self.zone.name.clone()),
            tracks: all.iter().map(|w| w.what.track.clone()).collect(),
            at_ns: all.iter().map(|w| w.since_ns).min()?,
            ..told_by(Kind::WrongWay, evidence)
        })
    }
}
