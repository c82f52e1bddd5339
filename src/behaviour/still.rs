//! What stands still: a parked car, or a bush that the detector takes for a person. It opens no new alert, also not
//! when its box trembles, and not when its track is lost and found again under another id. Somebody who walked to where
//! they stand is no such thing, under another id neither.

use std::collections::HashMap;

use crate::data::{BBox, Point, Track, TrackedFrame};
use crate::geometry::distance;

/// Standing for so long makes an object part of the place.
const SETTLED_NS: u64 = 20_000_000_000;
/// A box trembles by less than this part of its height.
const TREMBLE: f32 = 0.25;
/// Whose box meets the place where it stood by less than this has gone, and the place is free: the next one there is somebody new.
const GONE: f32 = 0.2;
/// A place is remembered for so long after it was last seen taken.
const MEMORY_NS: u64 = 600_000_000_000;
/// A track that was not seen for so long is forgotten, and with it who stood there.
const FORGET_NS: u64 = 60_000_000_000;
/// Somebody has walked who has come so far, in their own heights: no box trembles by as much.
const WALKED: f32 = 0.5;

const PERSON: &str = "person";

#[derive(Default)]
pub(super) struct Stillness {
    tracks: HashMap<u64, Stand>,
    places: Vec<Place>,
}

struct Stand {
    /// Where it was seen first.
    from: Point,
    at: Point,
    since_ns: u64,
    seen_ns: u64,
    /// Whether it has moved about before it stood.
    moved: bool,
    /// A person who came here on foot.
    walked: bool,
}

struct Place {
    bbox: BBox,
    seen_ns: u64,
    /// Who stands there.
    by: u64,
    /// Who stands there came on foot.
    walked_in: bool,
}

impl Stillness {
    /// `aspect`: the picture's width over its height.
    pub fn observe(&mut self, frame: &TrackedFrame, aspect: f32) {
        let apart = |a: Point, b: Point| distance(a, b, aspect);
        for track in frame.tracks.iter().filter(|t| t.seen) {
            let (at, height) = (track.bbox.bottom(), track.bbox.height());
            let places = &mut self.places;
            let stand = self.tracks.entry(track.id).or_insert_with(|| {
                let walked = is_known_there(places, track, frame.pts_ns);
                Stand {
                    from: at,
                    at,
                    since_ns: frame.pts_ns,
                    seen_ns: frame.pts_ns,
                    moved: walked,
                    walked,
                }
            });
            stand.seen_ns = frame.pts_ns;
            if apart(stand.at, at) > TREMBLE * height {
                (stand.at, stand.since_ns, stand.moved) = (at, frame.pts_ns, true);
                stand.walked |= &*track.class == PERSON && apart(stand.from, at) >= WALKED * height;
            } else if frame.pts_ns - stand.since_ns >= SETTLED_NS {
                remember(&mut self.places, track, stand.walked, frame.pts_ns);
            }
        }
        self.tracks
            .retain(|_, s| frame.pts_ns.saturating_sub(s.seen_ns) < FORGET_NS);
        let seen = |id: u64| frame.tracks.iter().find(|t| t.seen && t.id == id);
        self.places.retain(|p| {
            let has_gone = seen(p.by).is_some_and(|t| p.bbox.iou(&t.bbox) < GONE);
            frame.pts_ns.saturating_sub(p.seen_ns) < MEMORY_NS && !has_gone
        });
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

/// Whether a track that is new here is the somebody who stood here a moment ago, and had come on foot; it stands there from now on.
fn is_known_there(places: &mut [Place], track: &Track, now_ns: u64) -> bool {
    let fits =
        |p: &&mut Place| p.walked_in && now_ns.saturating_sub(p.seen_ns) < FORGET_NS && p.bbox.iou(&track.bbox) > 0.5;
    let place = places.iter_mut().find(fits).filter(|_| &*track.class == PERSON);
    place.map(|p| p.by = track.id).is_some()
}

fn remember(places: &mut Vec<Place>, track: &Track, walked_in: bool, now_ns: u64) {
    match places.iter_mut().find(|p| p.bbox.iou(&track.bbox) > 0.6) {
        Some(place) => (place.seen_ns, place.by, place.walked_in) = (now_ns, track.id, walked_in),
        None => places.push(Place {
            bbox: track.bbox,
            seen_ns: now_ns,
            by: track.id,
            walked_in,
        }),
    }
}
