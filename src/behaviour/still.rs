//! What stands still: a parked car, or a bush that the detector takes for a person. It opens no new alert, also not
//! when its box trembles, and not when its track is lost and found again under another id.

use std::collections::HashMap;

use crate::data::{BBox, Point, TrackedFrame};
use crate::geometry::distance;

/// Standing for so long makes an object part of the place.
const SETTLED_NS: u64 = 20_000_000_000;
/// A box trembles by less than this part of its height.
const TREMBLE: f32 = 0.25;
/// A place is remembered for so long after it was last seen taken.
const MEMORY_NS: u64 = 600_000_000_000;

#[derive(Default)]
pub(super) struct Stillness {
    tracks: HashMap<u64, Stand>,
    places: Vec<Place>,
}

struct Stand {
    at: Point,
    since_ns: u64,
    seen_ns: u64,
    /// Whether it has moved about before it stood.
    moved: bool,
}

struct Place {
    bbox: BBox,
    seen_ns: u64,
}

impl Stillness {
    pub fn observe(&mut self, frame: &TrackedFrame) {
        for track in frame.tracks.iter().filter(|t| t.seen) {
            let at = track.bbox.bottom();
            let here = Stand {
                at,
                since_ns: frame.pts_ns,
                seen_ns: frame.pts_ns,
                moved: false,
            };
            let stand = self.tracks.entry(track.id).or_insert(here);
            stand.seen_ns = frame.pts_ns;
            if distance(stand.at, at) > TREMBLE * track.bbox.height() {
                *stand = Stand {
                    at,
                    since_ns: frame.pts_ns,
                    seen_ns: frame.pts_ns,
                    moved: true,
                };
            } else if frame.pts_ns - stand.since_ns >= SETTLED_NS {
                remember(&mut self.places, track.bbox, frame.pts_ns);
            }
        }
        self.tracks
            .retain(|_, s| frame.pts_ns.saturating_sub(s.seen_ns) < 60_000_000_000);
        self.places
            .retain(|p| frame.pts_ns.saturating_sub(p.seen_ns) < MEMORY_NS);
    }

    /// Whether the track is a part of the place: it sits where something has stood for long, and has not moved there
    /// under our eyes.
    pub fn is_settled(&self, id: u64, bbox: &BBox) -> bool {
        let walked_in = self.tracks.get(&id).is_some_and(|s| s.moved);
        !walked_in && self.places.iter().any(|p| p.bbox.iou(bbox) > 0.5)
    }

    pub fn forget_tracks(&mut self) {
        self.tracks.clear();
    }
}

fn remember(places: &mut Vec<Place>, bbox: BBox, now_ns: u64) {
    match places.iter_mut().find(|p| p.bbox.iou(&bbox) > 0.6) {
        Some(place) => place.seen_ns = now_ns,
        None => places.push(Place { bbox, seen_ns: now_ns }),
    }
}
