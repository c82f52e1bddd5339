//! What stands still: a parked car, or a bush that the detector takes for a person. It opens no new alert, also not
//! when its box trembles, and not when its track is lost and found again under another id. Who was seen to come to where
//! they stand is known there under another id too, and a person who came is never a part of the place.

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
/// Somebody has come who has moved so far, in their own heights: no box trembles by as much.
const CAME: f32 = 0.5;
/// Who has stood for so long was not just passing.
const STOOD_NS: u64 = 2_000_000_000;

const PERSON: &str = "person";

#[derive(Default)]
pub(super) struct Stillness {
    tracks: HashMap<u64, Stand>,
    places: Vec<Place>,
    /// Who had come and stood there when the stream broke off.
    stood: Vec<Stand>,
}

struct Stand {
    /// Where it was seen first.
    from: Point,
    at: Point,
    bbox: BBox,
    since_ns: u64,
    seen_ns: u64,
    /// Whether it has moved about before it stood.
    moved: bool,
    /// Whether it has come here from somewhere else.
    came: bool,
    is_person: bool,
}

struct Place {
    bbox: BBox,
    seen_ns: u64,
    /// Who stands there.
    by: u64,
    /// Who stands there has come.
    came: bool,
    is_person: bool,
}

impl Stillness {
    /// `aspect`: the picture's width over its height.
    pub fn observe(&mut self, frame: &TrackedFrame, aspect: f32) {
        let apart = |a: Point, b: Point| distance(a, b, aspect);
        let seen = |id: u64| frame.tracks.iter().find(|t| t.seen && t.id == id);
        for track in frame.tracks.iter().filter(|t| t.seen) {
            let (at, height) = (track.bbox.bottom(), track.bbox.height());
            if !self.tracks.contains_key(&track.id) {
                let came = self.is_known_there(track, frame);
                let stand = Stand {
                    from: at,
                    at,
                    bbox: track.bbox,
                    since_ns: frame.pts_ns,
                    seen_ns: frame.pts_ns,
                    moved: came,
                    came,
                    is_person: is_person(track),
                };
                self.tracks.insert(track.id, stand);
            }
            let Some(stand) = self.tracks.get_mut(&track.id) else {
                continue;
            };
            (stand.bbox, stand.seen_ns) = (track.bbox, frame.pts_ns);
            if apart(stand.at, at) > TREMBLE * height {
                (stand.at, stand.since_ns, stand.moved) = (at, frame.pts_ns, true);
                stand.came |= apart(stand.from, at) >= CAME * height;
            } else if frame.pts_ns - stand.since_ns >= SETTLED_NS {
                remember(&mut self.places, track, stand.came, frame.pts_ns);
            }
        }
        let is_fresh = |s: &Stand| frame.pts_ns.saturating_sub(s.seen_ns) < FORGET_NS;
        self.tracks.retain(|_, s| is_fresh(s));
        self.stood.retain(is_fresh);
        self.places.retain(|p| {
            let has_gone = seen(p.by).is_some_and(|t| p.bbox.iou(&t.bbox) < GONE);
            frame.pts_ns.saturating_sub(p.seen_ns) < MEMORY_NS && !has_gone
        });
    }

    /// Whether the track is a part of the place: it sits where something has stood for long, and has not moved there
    /// under our eyes.
    pub fn was_there(&self, track: &Track) -> bool {
        !self.has_moved(track) && self.stands(track).next().is_some()
    }

    /// Whether it is one by now: a car that drove in and parked is, a person is not.
    pub fn is_settled(&self, track: &Track) -> bool {
        let is_parked = || !is_person(track) && self.stands(track).any(|p| p.by == track.id);
        self.was_there(track) || is_parked()
    }

    fn has_moved(&self, track: &Track) -> bool {
        self.tracks.get(&track.id).is_some_and(|s| s.moved)
    }

    fn stands(&self, track: &Track) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|p| p.bbox.iou(&track.bbox) > 0.5)
    }

    /// Whether a track that is new here is the one that stood here a moment ago, and had come; it stands there from now on, and whoever
    /// is new here after it is somebody else.
    fn is_known_there(&mut self, track: &Track, frame: &TrackedFrame) -> bool {
        let fits = |bbox: &BBox, was_person: bool, seen_ns: u64| {
            let lately = frame.pts_ns.saturating_sub(seen_ns) < FORGET_NS;
            lately && was_person == is_person(track) && bbox.iou(&track.bbox) > 0.5
        };
        let here = |p: &Place| fits(&p.bbox, p.is_person, p.seen_ns);
        if let Some(place) = self.places.iter_mut().find(|p| p.came && here(p)) {
            place.by = track.id;
            return true;
        }
        if self.places.iter().any(here) {
            return false;
        }
        let stood = |s: &Stand| s.has_come_and_stood() && fits(&s.bbox, s.is_person, s.seen_ns);
        let is_seen = |id: u64| frame.tracks.iter().any(|t| t.seen && t.id == id);
        let lost = self.tracks.iter().find(|(id, s)| !is_seen(**id) && stood(s));
        if let Some(id) = lost.map(|(id, _)| *id) {
            self.tracks.remove(&id);
            return true;
        }
        let before = self.stood.iter().position(stood);
        before.map(|at| self.stood.swap_remove(at)).is_some()
    }

    pub fn forget_tracks(&mut self) {
        let stood = self.tracks.drain().map(|(_, stand)| stand);
        self.stood.extend(stood.filter(Stand::has_come_and_stood));
    }
}

impl Stand {
    /// Not somebody who was passing.
    fn has_come_and_stood(&self) -> bool {
        self.came && self.seen_ns - self.since_ns >= STOOD_NS
    }
}

fn is_person(track: &Track) -> bool {
    &*track.class == PERSON
}

fn remember(places: &mut Vec<Place>, track: &Track, came: bool, now_ns: u64) {
    match places.iter_mut().find(|p| p.bbox.iou(&track.bbox) > 0.6) {
        Some(place) => (place.seen_ns, place.by, place.came) = (now_ns, track.id, came),
        None => places.push(Place {
            bbox: track.bbox,
            seen_ns: now_ns,
            by: track.id,
            came,
            is_person: is_person(track),
        }),
    }
}
