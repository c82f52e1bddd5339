//! Presence in a zone: intrusion, loitering, crowd.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::still::Stillness;
use super::{Zone, alert_track, anchor_point, seen_as, told_by};
use crate::data::{AlertTrack, Evidence, Finding, Kind, TrackedFrame};
use crate::geometry::{area, inside};

/// A track that is out of the zone (or lost) for so long has left it.
const LEFT_NS: u64 = 2_000_000_000;
/// A crowd must stand for so long.
const CROWD_NS: u64 = 2_000_000_000;
/// Whoever was seen so lately is still one of it.
const HIDDEN_NS: u64 = 1_000_000_000;
/// Fewer are no crowd, however close they stand.
const LEAST_CROWD: f32 = 4.0;

pub(super) struct ZoneRule {
    zone: Zone,
    guests: BTreeMap<u64, Guest>,
    crowd_since_ns: Option<u64>,
    /// The crowd that stood for long enough since the last findings, also where it has dissolved by now: since when, and what it was.
    crowd_stood: Option<(u64, Crowd)>,
    now_ns: u64,
}

#[derive(Clone, Copy)]
struct Crowd {
    persons: usize,
    /// On the square of their mean height.
    density: f32,
}

struct Guest {
    frames: u32,
    came_ns: u64,
    /// Since when it has not been at rest.
    astir_ns: u64,
    inside_ns: u64,
    last_ns: u64,
    /// Inside in a frame since the last findings, and for `min_frames` by then.
    counts: bool,
    /// Part of the place by now, and was before it came into view.
    settled: bool,
    was_there: bool,
    track: AlertTrack,
    evidence: Option<Evidence>,
}

impl ZoneRule {
    pub fn new(zone: Zone) -> Self {
        Self {
            zone,
            guests: BTreeMap::new(),
            crowd_since_ns: None,
            crowd_stood: None,
            now_ns: 0,
        }
    }

    pub fn reset(&mut self) {
        self.guests.clear();
        self.crowd_since_ns = None;
        self.crowd_stood = None;
    }

    pub fn observe(&mut self, frame: &TrackedFrame, still: &Stillness, aspect: f32) {
        let now_ns = frame.pts_ns;
        self.now_ns = now_ns;
        // Where nobody looked for so long nobody is known to have stayed.
        self.leave();
        for track in frame.tracks.iter().filter(|t| t.seen && self.zone.is_about(t)) {
            let wanted = self
                .zone
                .min_score
                .iter()
                .find(|(class, _)| *class == track.class)
                .map_or(0.0, |(_, s)| *s);
            if track.score < wanted || !inside(&self.zone.polygon, anchor_point(self.zone.anchor, &track.bbox)) {
                continue;
            }
            let guest = self.guests.entry(track.id).or_insert_with(|| Guest {
                frames: 0,
                came_ns: now_ns,
                astir_ns: now_ns,
                inside_ns: 0,
                last_ns: now_ns,
                counts: false,
                settled: false,
                was_there: false,
                track: alert_track(track),
                evidence: None,
            });
            guest.frames += 1;
            guest.inside_ns += now_ns - guest.last_ns;
            guest.last_ns = now_ns;
            guest.counts |= guest.frames >= self.zone.min_frames;
            (guest.settled, guest.was_there) = (still.is_settled(track), still.was_there(track));
            if guest.settled {
                guest.astir_ns = now_ns;
            }
            guest.track = alert_track(track);
            if guest.evidence.as_ref().is_none_or(|e| e.score <= track.score) {
                // The model's name is filled in when the finding is made.
                guest.evidence = Some(seen_as(track, track.score, &Arc::from(""), now_ns));
            }
        }
        self.leave();
        if let Some(crowd) = self.crowd(aspect) {
            let since_ns = *self.crowd_since_ns.get_or_insert(now_ns);
            if now_ns - since_ns >= CROWD_NS {
                self.crowd_stood.get_or_insert((since_ns, crowd));
            }
        } else {
            self.crowd_since_ns = None;
        }
    }

    fn leave(&mut self) {
        let now_ns = self.now_ns;
        self.guests.retain(|_, g| now_ns.saturating_sub(g.last_ns) <= LEFT_NS);
    }

    /// By their number, or by their number on the area: in body heights, so that near and far look alike.
    fn crowd(&self, aspect: f32) -> Option<Crowd> {
        // In a crowd somebody is always hidden for a moment.
        let lately = |g: &&Guest| self.now_ns.saturating_sub(g.last_ns) <= HIDDEN_NS;
        let present = self.guests.values().filter(lately);
        let present = present.filter(|g| g.frames >= self.zone.min_frames);
        let squares: Vec<f32> = present.map(|g| g.track.bbox.height().powi(2)).collect();
        let n = squares.len() as f32;
        let bodies = area(&self.zone.polygon) * aspect / (squares.iter().sum::<f32>() / n.max(1.0)).max(1e-6);
        let density = n / bodies.max(1e-6);
        let dense = self.zone.crowd_density > 0.0 && n >= LEAST_CROWD && density >= self.zone.crowd_density;
        (dense || squares.len() >= self.zone.crowd_size as usize).then_some(Crowd {
            persons: squares.len(),
            density,
        })
    }

    /// What held in a window.
    pub fn findings(&mut self, model: &Arc<str>) -> Vec<Finding> {
        let present = |g: &&Guest| g.counts;
        let stood = self.crowd_stood.take();
        let mut found = Vec::new();
        for kind in &self.zone.kinds {
            let part: Vec<&Guest> = match kind {
                Kind::Intrusion => self.guests.values().filter(present).filter(|g| !g.settled).collect(),
                Kind::Loitering => {
                    let long_ns = (self.zone.loiter_s * 1e9) as u64;
                    self.guests
                        .values()
                        .filter(present)
                        .filter(|g| g.inside_ns >= long_ns && !g.was_there)
                        .collect()
                }
                Kind::Crowd => self.guests.values().filter(present).collect(),
                _ => Vec::new(),
            };
            let since_ns = match kind {
                Kind::Crowd => stood.map(|(since_ns, _)| since_ns),
                Kind::Intrusion => part.iter().map(|g| g.astir_ns).min(),
                _ => part.iter().map(|g| g.came_ns).min(),
            };
            // What the detector's word alone does not tell.
            let beyond = match (kind, stood) {
                (Kind::Crowd, Some((_, crowd))) => Some(format!(
                    "{} together, {:.2} on a body height squared",
                    crowd.persons, crowd.density
                )),
                (Kind::Loitering, _) => part
                    .iter()
                    .map(|g| g.inside_ns)
                    .max()
                    .map(|longest_ns| format!("inside for {} s", longest_ns / 1_000_000_000)),
                _ => None,
            };
            found.extend(since_ns.and_then(|since_ns| self.finding(*kind, &part, since_ns, beyond, model)));
        }
        self.guests.values_mut().for_each(|g| g.counts = false);
        found
    }

    /// The surest of those who take part speaks for all: several boxes of one detector are one witness.
    fn finding(
        &self,
        kind: Kind,
        part: &[&Guest],
        since_ns: u64,
        beyond: Option<String>,
        model: &Arc<str>,
    ) -> Option<Finding> {
        let best = part
            .iter()
            .filter_map(|g| g.evidence.as_ref())
            .max_by(|a, b| a.score.total_cmp(&b.score))?;
        let evidence = Evidence {
            model: model.clone(),
            label: beyond.map_or_else(
                || best.label.clone(),
                |beyond| format!("{}, {beyond}", best.label).into(),
            ),
            ..best.clone()
        };
        Some(Finding {
            zone: Some(self.zone.name.clone()),
            tracks: part.iter().map(|g| g.track.clone()).collect(),
            at_ns: since_ns,
            last_ns: part.iter().map(|g| g.last_ns).max()?,
            ..told_by(kind, evidence)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::Anchor;
    use crate::data::{BBox, Point, Track};

    const S: u64 = 1_000_000_000;

    /// The whole picture.
    fn yard() -> Zone {
        let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
        Zone::new("yard", corners.map(|(x, y)| Point { x, y }).to_vec())
    }

    fn frame(pts_ns: u64, people: u64) -> TrackedFrame {
        let person = |id: u64| Track {
            id,
            class: "person".into(),
            bbox: BBox {
                x1: 0.1 + 0.2 * id as f32,
                y1: 0.2,
                x2: 0.2 + 0.2 * id as f32,
                y2: 0.6,
            },
            score: 0.9,
            seen: true,
            hits: 9,
            born_ns: 0,
        };
        TrackedFrame {
            pts_ns,
            tracks: (0..people).map(person).collect(),
        }
    }

    /// Whether somebody of this score is found after three frames.
    fn finds(zone: Zone, score: f32) -> bool {
        let mut rule = ZoneRule::new(zone);
        for t in 0..3 {
            let mut seen = frame(t * S, 1);
            seen.tracks[0].score = score;
            rule.observe(&seen, &Stillness::default(), 1.0);
        }
        !rule.findings(&"detector@1".into()).is_empty()
    }

    #[test]
    fn somebody_stands_where_the_feet_are_or_the_middle_of_the_box_as_the_zone_says() {
        // Of a box from 0.2 to 0.6.
        for (top, bottom, stands_there) in [(0.0, 0.5, Anchor::Centre), (0.5, 1.0, Anchor::Bottom)] {
            for anchor in [Anchor::Bottom, Anchor::Centre] {
                let corners = [(0.0, top), (1.0, top), (1.0, bottom), (0.0, bottom)];
                let zone = Zone {
                    polygon: corners.map(|(x, y)| Point { x, y }).to_vec(),
                    anchor,
                    ..yard()
                };
                assert_eq!(finds(zone, 0.9), anchor == stands_there, "{anchor:?} from {top}");
            }
        }
    }

    #[test]
    fn who_is_less_sure_than_the_zone_asks_of_the_class_does_not_count() {
        let asks = |class: &str, least: f32| Zone {
            min_score: vec![(class.into(), least)],
            ..yard()
        };
        assert!(!finds(asks("person", 0.95), 0.9));
        assert!(finds(asks("person", 0.85), 0.9));
        assert!(finds(asks("car", 0.95), 0.9));
    }

    #[test]
    fn a_crowd_that_dissolves_within_a_window_is_found_once() {
        let mut rule = ZoneRule::new(Zone {
            kinds: vec![Kind::Crowd],
            crowd_size: 3,
            ..yard()
        });
        // Four frames a second, windows of two seconds; there are three from 1 s to 2.5 s, and one may be hidden for a second.
        let mut window = |quarters: std::ops::Range<u64>| {
            for at in quarters {
                let people = if (4..=10).contains(&at) { 3 } else { 1 };
                rule.observe(&frame(at * S / 4, people), &Stillness::default(), 1.0);
            }
            let found = rule.findings(&"detector@1".into());
            found.iter().map(|f| (f.at_ns, f.tracks.len())).collect::<Vec<_>>()
        };
        let found = [0..8, 8..16, 16..24].map(&mut window);
        assert_eq!(found, [vec![], vec![(S * 3 / 2, 3)], vec![]]);
    }

    #[test]
    fn time_in_which_nobody_looked_is_no_time_that_somebody_stayed() {
        let mut rule = ZoneRule::new(Zone {
            kinds: vec![Kind::Loitering],
            loiter_s: 30.0,
            ..yard()
        });
        let mut stays = |from_s: u64, to_s: u64| {
            for t in from_s..=to_s {
                rule.observe(&frame(t * S, 1), &Stillness::default(), 1.0);
            }
            rule.findings(&"detector@1".into()).len()
        };
        assert_eq!(stays(0, 20), 0);
        // The detector was overloaded for a minute and a half; the tracker takes the next person for the same.
        assert_eq!(stays(110, 130), 0);
        assert_eq!(stays(131, 145), 1);
    }
}
