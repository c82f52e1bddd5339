//! Somebody falls and stays down.
//!
//! A fall is seen in the box: within little more than a second it loses half of its height, from above, while its
//! lower edge stays where it was. Who sits down keeps two thirds of it; who ties a shoe or picks something up keeps more
//! than half; who lies down on a couch takes longer, and the feet leave the floor.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::gait::{Gaits, Step, median};
use super::places::Places;
use super::{Zone, alert_track, by_rule, told_by};
use crate::data::{AlertTrack, BBox, Finding, Kind, Severity, Track, TrackedFrame};

#[derive(Clone, Debug, PartialEq)]
pub struct FallOptions {
    /// An alert becomes critical when somebody has been down for so long.
    pub stay_down_s: f32,
}

impl Default for FallOptions {
    fn default() -> Self {
        Self { stay_down_s: 10.0 }
    }
}

/// Down is at most this part of the height before, and at least so wide for what is left of it.
const LOW: f32 = 0.5;
const LOW_ASPECT: f32 = 0.72;
/// Or this part, stretched out along the floor.
const FLAT: f32 = 0.6;
const FLAT_ASPECT: f32 = 1.3;
/// Up is at least this part of it.
const UP: f32 = 0.8;
/// From up to down at most. Lying down takes longer.
const FALL_NS: u64 = 1_700_000_000;
/// How far, in heights before, the top comes down at least, and the bottom goes up at most.
const TOP_DOWN: f32 = 0.35;
const BOTTOM_UP: f32 = 0.17;
/// It stays down for so long, or is down when it is lost for so long.
const STAYS_NS: u64 = 350_000_000;
const LOST_NS: u64 = 600_000_000;
/// At an edge it could be walking out of the picture: there it must stay for so long.
const STAYS_AT_EDGE_NS: u64 = 1_000_000_000;
/// A track that begins so soon after another one was lost, at the same place, goes on from it.
const LINK_NS: u64 = 1_500_000_000;
/// Where somebody who fell is not seen any more, a new track that lies there in so many frames is theirs.
const TAKEN_OVER: u32 = 3;
/// Not if it has come so far, in heights of who fell: who lies does not walk there.
const WALKED: f32 = 0.5;
/// Somebody who fell and is not seen any more is remembered for so long.
const MEMORY_NS: u64 = 60_000_000_000;

pub(super) struct Fall {
    options: FallOptions,
    places: Places,
    /// Tracks that go on from a lost one.
    links: HashMap<u64, u64>,
    sinking: BTreeMap<u64, Sinking>,
    fallen: Vec<Fallen>,
}

/// Down, but not for long enough yet.
struct Sinking {
    since_ns: u64,
    last_ns: u64,
    at_edge: bool,
    fall: Descent,
    zones: Vec<Option<Arc<str>>>,
    track: AlertTrack,
}

/// What made a box count as down.
#[derive(Clone, Copy)]
struct Descent {
    took_s: f32,
    ratio: f32,
    aspect: f32,
    /// Height before.
    height: f32,
}

struct Fallen {
    since_ns: u64,
    last_ns: u64,
    fall: Descent,
    zones: Vec<Option<Arc<str>>>,
    /// Who fell. While that track is not seen, another that is found there stands for it.
    owner: u64,
    track: AlertTrack,
    /// Tracks that stood upright since, or walked: whoever that is, they do not lie there.
    others: BTreeSet<u64>,
    /// A track that may be theirs, and in how many frames it lay there.
    claim: (u64, u32),
    /// Frames in a row in which it was up again.
    up_frames: u32,
}

impl Fall {
    pub fn new(options: FallOptions, zones: &[Zone]) -> Self {
        Self {
            options,
            places: Places::of(Kind::Fall, zones),
            links: HashMap::new(),
            sinking: BTreeMap::new(),
            fallen: Vec::new(),
        }
    }

    pub fn reset(&mut self) {
        self.links.clear();
        self.sinking.clear();
    }

    pub fn observe(&mut self, frame: &TrackedFrame, gaits: &Gaits) {
        let now_ns = frame.pts_ns;
        for track in frame.tracks.iter().filter(|t| t.seen) {
            if self.is_lying(track, frame, gaits) {
                continue;
            }
            let zones = self.places.of_track(track);
            if zones.is_empty() {
                continue;
            }
            self.link(track, frame, gaits);
            let sinks = self.sinking.contains_key(&track.id);
            match self.descent(track, gaits, sinks) {
                Some((fall, at_edge)) => {
                    let sinking = self.sinking.entry(track.id).or_insert_with(|| Sinking {
                        since_ns: now_ns,
                        last_ns: now_ns,
                        at_edge,
                        fall,
                        zones,
                        track: alert_track(track),
                    });
                    sinking.last_ns = now_ns;
                    sinking.at_edge |= at_edge;
                    sinking.track = alert_track(track);
                    if fall.ratio < sinking.fall.ratio {
                        sinking.fall = Descent {
                            took_s: sinking.fall.took_s,
                            ..fall
                        };
                    }
                }
                None => {
                    self.sinking.remove(&track.id);
                }
            }
        }
        self.settle(now_ns, gaits);
        self.fallen
            .retain(|f| f.up_frames < 3 && now_ns.saturating_sub(f.last_ns) < MEMORY_NS);
        let is_known = |id: &u64| gaits.steps(*id).next().is_some();
        self.links.retain(|id, _| is_known(id));
        for fallen in &mut self.fallen {
            fallen.others.retain(is_known);
        }
    }

    /// Whoever is down for long enough has fallen.
    fn settle(&mut self, now_ns: u64, gaits: &Gaits) {
        let mut done = Vec::new();
        for (id, s) in &self.sinking {
            let stays_ns = s.last_ns - s.since_ns;
            let lost = now_ns - s.last_ns >= LOST_NS;
            let has_fallen = if s.at_edge {
                stays_ns >= STAYS_AT_EDGE_NS && rests(gaits.steps(*id))
            } else {
                stays_ns >= STAYS_NS || lost
            };
            if has_fallen {
                self.fallen.push(Fallen {
                    since_ns: s.since_ns,
                    last_ns: s.last_ns,
                    fall: s.fall,
                    zones: s.zones.clone(),
                    owner: *id,
                    track: s.track.clone(),
                    others: BTreeSet::new(),
                    claim: (*id, 0),
                    up_frames: 0,
                });
            }
            if has_fallen || lost {
                done.push(*id);
            }
        }
        done.iter().for_each(|id| {
            self.sinking.remove(id);
        });
    }

    /// One for each zone in which somebody lies.
    pub fn findings(&self, now_ns: u64) -> Vec<Finding> {
        let mut by_zone: BTreeMap<Option<Arc<str>>, Vec<&Fallen>> = BTreeMap::new();
        for fallen in self
            .fallen
            .iter()
            .filter(|f| now_ns.saturating_sub(f.last_ns) < 1_200_000_000)
        {
            for zone in &fallen.zones {
                by_zone.entry(zone.clone()).or_default().push(fallen);
            }
        }
        by_zone
            .into_iter()
            .filter_map(|(zone, all)| self.finding(zone, &all))
            .collect()
    }

    fn finding(&self, zone: Option<Arc<str>>, all: &[&Fallen]) -> Option<Finding> {
        let first = all.iter().min_by_key(|f| f.since_ns)?;
        let down_s = (first.last_ns - first.since_ns) as f32 / 1e9;
        let long = down_s >= self.options.stay_down_s;
        let d = &first.fall;
        let label = if long {
            format!("down for {down_s:.0} s")
        } else {
            format!("fell to {:.0} % of its height in {:.1} s", d.ratio * 100.0, d.took_s)
        };
        let stretched = 0.1 * (d.aspect - LOW_ASPECT).clamp(0.0, 1.0);
        let score = 0.7 + 0.5 * (FLAT - d.ratio).clamp(0.0, 0.3) + stretched + if long { 0.03 } else { 0.0 };
        let evidence = by_rule("fall", label, score, first.last_ns);
        let found = told_by(Kind::Fall, evidence);
        Some(Finding {
            zone,
            tracks: all.iter().map(|f| f.track.clone()).collect(),
            severity: long.then_some(Severity::Critical),
            at_ns: first.since_ns,
            last_ns: all.iter().map(|f| f.last_ns).max()?,
            ..found
        })
    }

    /// Whether the box is that of somebody who fell before, still down; notes when it is up again. The fallen one's track may be
    /// lost and another found there, but not while it is seen: that one is somebody beside the fallen.
    fn is_lying(&mut self, track: &Track, frame: &TrackedFrame, gaits: &Gaits) -> bool {
        let (b, now_ns) = (&track.bbox, frame.pts_ns);
        let is_seen = |id: u64| frame.tracks.iter().any(|t| t.id == id && t.seen);
        let is_own = |f: &Fallen| f.owner == track.id || f.track.id == track.id;
        for fallen in self.fallen.iter_mut().filter(|f| !is_own(f)) {
            let stands = b.height() >= (UP - 0.1) * fallen.fall.height;
            if stands || way(gaits.steps(track.id)) >= WALKED * fallen.fall.height {
                fallen.others.insert(track.id);
            }
        }
        let may_be = |f: &Fallen| {
            let there = f.track.class == track.class && is_there(&f.track.bbox, b);
            there && !is_seen(f.track.id) && !f.others.contains(&track.id) && track.born_ns > f.since_ns
        };
        let its_own = self.fallen.iter().position(is_own);
        let Some(fallen) = its_own
            .or_else(|| self.fallen.iter().position(may_be))
            .and_then(|i| self.fallen.get_mut(i))
        else {
            return false;
        };
        let is_own = is_own(fallen);
        let ratio = b.height() / fallen.fall.height;
        if ratio < 0.65 {
            let frames = if fallen.claim.0 == track.id { fallen.claim.1 } else { 0 };
            fallen.claim = (track.id, frames + 1);
            if !is_own && frames + 1 < TAKEN_OVER {
                return true;
            }
            fallen.up_frames = 0;
            fallen.last_ns = now_ns;
            fallen.track = alert_track(track);
            return true;
        }
        // Somebody who bends over the fallen one is another track.
        if is_own && ratio >= UP - 0.1 {
            fallen.up_frames += 1;
        }
        is_own
    }

    /// A standing box and the lying one after it overlap so little that the tracker may take them for two.
    fn link(&mut self, track: &Track, frame: &TrackedFrame, gaits: &Gaits) {
        if self.links.contains_key(&track.id) || gaits.steps(track.id).count() > 1 {
            return;
        }
        let Some(now) = gaits.steps(track.id).next_back() else {
            return;
        };
        let is_free = |id: &u64| !frame.tracks.iter().any(|t| t.id == *id && t.seen);
        let before = gaits.ids().filter(is_free).filter_map(|id| {
            let last = gaits.steps(id).next_back()?;
            let near =
                (last.x - now.x).abs() < 0.8 * last.height && (last.bottom - now.bottom).abs() < 0.3 * last.height;
            let soon = now.at_ns - last.at_ns <= LINK_NS;
            (near && soon).then(|| ((last.x - now.x).abs(), id))
        });
        if let Some((_, id)) = before.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))) {
            self.links.insert(track.id, id);
        }
    }

    /// How it came down, if it is down now and came down as one falls; and whether an edge of the picture cuts it off.
    fn descent(&self, track: &Track, gaits: &Gaits, sinks: bool) -> Option<(Descent, bool)> {
        let before = self.links.get(&track.id).copied();
        let steps: Vec<&Step> = before
            .into_iter()
            .flat_map(|id| gaits.steps(id))
            .chain(gaits.steps(track.id))
            .collect();
        let now = steps.last()?;
        let height = stature(&steps)?;
        let tail = &steps[steps.len().saturating_sub(3)..];
        let ratio = median(tail.iter().map(|s| s.height / height).collect());
        let aspect = median(tail.iter().map(|s| s.width / s.height.max(1e-3)).collect());
        // Of a body on the floor often only a part is seen, such as the legs: once down, the shape does not matter.
        let is_down = (ratio <= LOW && (aspect >= LOW_ASPECT || sinks)) || (ratio <= FLAT && aspect >= FLAT_ASPECT);
        let up = steps.iter().rfind(|s| s.height >= UP * height)?;
        let low = steps.iter().find(|s| s.at_ns > up.at_ns && s.height <= FLAT * height)?;
        let took_ns = low.at_ns - up.at_ns;
        let top_down = (now.top - up.top) / height;
        let bottom_up = (up.bottom - now.bottom) / height;
        let falls = took_ns <= FALL_NS && top_down >= TOP_DOWN && bottom_up <= BOTTOM_UP;
        // Cut off by an edge, a box changes its shape as it leaves. Who fills the picture from top to bottom stands
        // before a level camera, and does not leave it downwards.
        let at_edge = now.cut_sideways || (now.bottom > 0.985 && height < 0.9);
        let descent = Descent {
            took_s: took_ns as f32 / 1e9,
            ratio,
            aspect,
            height,
        };
        (is_down && falls).then_some((descent, at_edge))
    }
}

/// The height before: the second greatest of those remembered, as one box may have held two people.
fn stature(steps: &[&Step]) -> Option<f32> {
    let mut heights: Vec<f32> = steps.iter().map(|s| s.height).collect();
    heights.sort_by(|a, b| b.total_cmp(a));
    heights.get(usize::from(heights.len() > 5)).copied()
}

/// The top has come to rest.
fn rests<'a>(steps: impl DoubleEndedIterator<Item = &'a Step> + Clone) -> bool {
    let Some(now) = steps.clone().next_back() else {
        return false;
    };
    let before = steps.rev().find(|s| now.at_ns - s.at_ns >= 550_000_000);
    before.is_some_and(|s| (now.top - s.top).abs() < 0.06)
}

/// How far it has come since it was first seen, or over the last seconds.
fn way<'a>(mut steps: impl DoubleEndedIterator<Item = &'a Step>) -> f32 {
    let ends = steps.next().zip(steps.next_back());
    ends.map_or(0.0, |(first, now)| (now.x - first.x).hypot(now.bottom - first.bottom))
}

/// Whether two boxes are of the same lying body.
fn is_there(fallen: &BBox, b: &BBox) -> bool {
    fallen.iou(b) > 0.2
}
