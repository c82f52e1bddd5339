//! Against the allowed way in a zone: a one-way lane, an escalator, an exit.

use std::collections::BTreeMap;

use super::gait::Gaits;
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
    walkers: BTreeMap<u64, Walker>,
    /// Who went since the last finding and does no more.
    walked: Vec<Walker>,
    /// When the last finding was asked for.
    asked_ns: u64,
}

struct Walker {
    since_ns: u64,
    last_ns: u64,
    speed: f32,
    track: AlertTrack,
}

impl Walker {
    fn lasts(&self) -> bool {
        self.last_ns - self.since_ns >= LASTS_NS
    }
}

impl WrongWay {
    /// None when the zone has nothing to do with it.
    pub fn new(zone: &Zone) -> Option<Self> {
        let way = zone.way.filter(|_| zone.kinds.contains(&Kind::WrongWay))?;
        Some(Self {
            zone: zone.clone(),
            way,
            walkers: BTreeMap::new(),
            walked: Vec::new(),
            asked_ns: 0,
        })
    }

    pub fn reset(&mut self) {
        self.walkers.clear();
        self.walked.clear();
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
                self.stops(track.id);
                continue;
            };
            let walker = self.walkers.entry(track.id).or_insert_with(|| Walker {
                since_ns: frame.pts_ns,
                last_ns: frame.pts_ns,
                speed,
                track: alert_track(track),
            });
            walker.last_ns = frame.pts_ns;
            walker.speed = walker.speed.max(speed);
            walker.track = alert_track(track);
        }
        let is_lost = |w: &Walker| frame.pts_ns.saturating_sub(w.last_ns) >= 1_000_000_000;
        let lost: Vec<u64> = self
            .walkers
            .iter()
            .filter(|(_, w)| is_lost(w))
            .map(|(id, _)| *id)
            .collect();
        lost.into_iter().for_each(|id| self.stops(id));
    }

    /// In a long window who went has often gone when it ends.
    fn stops(&mut self, id: u64) {
        let walked = self.walkers.remove(&id);
        self.walked
            .extend(walked.filter(|w| w.lasts() && w.last_ns > self.asked_ns));
    }

    pub fn finding(&mut self, now_ns: u64) -> Option<Finding> {
        let asked_ns = std::mem::replace(&mut self.asked_ns, now_ns);
        let walked = std::mem::take(&mut self.walked);
        let holds = |w: &&Walker| w.lasts() && (w.last_ns > asked_ns || now_ns.saturating_sub(w.last_ns) < 600_000_000);
        let all: Vec<&Walker> = self.walkers.values().chain(&walked).filter(holds).collect();
        let best = all.iter().max_by(|a, b| a.speed.total_cmp(&b.speed))?;
        let label = format!("{} against the way", best.track.class);
        let evidence = by_rule("wrong_way", label, sigmoid(2.0 + 2.0 * best.speed), best.last_ns);
        Some(Finding {
            zone: Some(self.zone.name.clone()),
            tracks: all.iter().map(|w| w.track.clone()).collect(),
            at_ns: all.iter().map(|w| w.since_ns).min()?,
            ..told_by(Kind::WrongWay, evidence)
        })
    }
}
