//! What stands still: a parked car, or a bush that the detector takes for a person. It opens no new alert, also not
//! when its box trembles, and not when its track is lost and found again under another id. Who was seen to come to where
//! they stand is known there under another id too, for a minute. A person who came is no part of the place; one who is found
//! there after a longer while is, once they have stood there in view for as long as anything else.

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
/// What was not seen for so long is lost. Of two boxes of one body, one is soon: no longer than this after the other appeared.
const LOST_NS: u64 = 2_000_000_000;
/// A track that was there before its place was left is told of within this time.
const TOLD_NS: u64 = 1_000_000_000;

const PERSON: &str = "person";

#[derive(Default)]
pub(super) struct Stillness {
    /// By track, for a minute after it was last seen.
    tracks: HashMap<u64, Stand>,
    /// Where something has settled, for ten minutes after it was last seen there.
    places: Vec<Place>,
    /// Places that were just left, for a second.
    left: Vec<Left>,
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

/// There may be two on one spot: of a bush that is a part of the place, and of somebody who came and stands before it.
struct Place {
    bbox: BBox,
    seen_ns: u64,
    /// Who stands there.
    by: u64,
    /// Who stands there has come.
    came: bool,
    is_person: bool,
}

/// Where the track of somebody who came has just been seen to go.
struct Left {
    bbox: BBox,
    at_ns: u64,
    is_person: bool,
}

impl Stillness {
    /// `aspect`: the picture's width over its height.
    pub fn observe(&mut self, frame: &TrackedFrame, aspect: f32) {
        let apart = |a: Point, b: Point| distance(a, b, aspect);
        self.free_places(frame);
        for track in frame.tracks.iter().filter(|t| t.seen) {
            let (at, height) = (track.bbox.bottom(), track.bbox.height());
            if !self.tracks.contains_key(&track.id) {
                let came = self.takes_over_at_birth(track, frame);
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
            let lives_on = self.takes_over_later(track, frame.pts_ns);
            let Some(stand) = self.tracks.get_mut(&track.id) else {
                continue;
            };
            (stand.bbox, stand.seen_ns) = (track.bbox, frame.pts_ns);
            (stand.came, stand.moved) = (stand.came || lives_on, stand.moved || lives_on);
            if apart(stand.at, at) > TREMBLE * height {
                (stand.at, stand.since_ns, stand.moved) = (at, frame.pts_ns, true);
                stand.came |= apart(stand.from, at) >= CAME * height;
            } else if frame.pts_ns - stand.since_ns >= SETTLED_NS {
                remember(&mut self.places, track, stand.came, frame.pts_ns);
            }
        }
        self.tracks
            .retain(|_, s| frame.pts_ns.saturating_sub(s.seen_ns) < FORGET_NS);
    }

    /// Whoever is seen elsewhere has gone from where they stood.
    fn free_places(&mut self, frame: &TrackedFrame) {
        let age_ns = |at_ns: u64| frame.pts_ns.saturating_sub(at_ns);
        let is_away = |p: &Place| {
            let by = frame.tracks.iter().find(|t| t.seen && t.id == p.by);
            by.is_some_and(|t| p.bbox.iou(&t.bbox) < GONE)
        };
        let left = self.places.iter().filter(|p| p.came && is_away(p)).map(|p| Left {
            bbox: p.bbox,
            at_ns: frame.pts_ns,
            is_person: p.is_person,
        });
        self.left.extend(left);
        self.left.retain(|l| age_ns(l.at_ns) < TOLD_NS);
        self.places.retain(|p| age_ns(p.seen_ns) < MEMORY_NS && !is_away(p));
    }

    /// Whether the track is a part of the place: it sits where something has stood for long, and has not moved there
    /// under our eyes. Where a person who came was last seen it may still be they, though they were hidden for minutes; the
    /// place is remembered for ten.
    pub fn was_there(&self, track: &Track) -> bool {
        !self.has_moved(track) && self.stands(track).any(|p| !(p.came && p.is_person))
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

    /// A track that is new here takes the place of the one that stood here a moment ago, and had come: whoever is new here after it
    /// is somebody else. Whether there was such a one.
    fn takes_over_at_birth(&mut self, track: &Track, frame: &TrackedFrame) -> bool {
        let fits = |bbox: &BBox, was_person: bool, seen_ns: u64| {
            let lately = frame.pts_ns.saturating_sub(seen_ns) < FORGET_NS;
            lately && was_person == is_person(track) && bbox.iou(&track.bbox) > 0.5
        };
        let here = |p: &Place| fits(&p.bbox, p.is_person, p.seen_ns);
        let is_seen = |id: u64| frame.tracks.iter().any(|t| t.seen && t.id == id);
        // Who is in view elsewhere has no place any more. On the spot of somebody who is still seen there it is something
        // else: a coat that they hung up.
        if let Some(place) = self.places.iter_mut().find(|p| p.came && here(p) && !is_seen(p.by)) {
            place.by = track.id;
            return true;
        }
        if self.places.iter().any(here) {
            return false;
        }
        // What was there before their track went is they: it goes on with the box of somebody who passed close by.
        let stays = |l: &Left| track.born_ns <= l.at_ns && fits(&l.bbox, l.is_person, l.at_ns);
        if let Some(at) = self.left.iter().position(stays) {
            self.left.swap_remove(at);
            return true;
        }
        let stood_here = |s: &Stand| s.has_come_and_stood() && fits(&s.bbox, s.is_person, s.seen_ns);
        let lost = self.tracks.iter().find(|(id, s)| !is_seen(**id) && stood_here(s));
        let lost = lost.map(|(id, _)| *id);
        lost.and_then(|id| self.tracks.remove(&id)).is_some()
    }

    /// The second of two boxes of one body takes the place of the other, of somebody who came, where that was lost soon after it
    /// appeared. Whether it is such a one.
    fn takes_over_later(&mut self, track: &Track, now_ns: u64) -> bool {
        let has_come = self.tracks.get(&track.id).is_some_and(|s| s.came);
        if has_come || self.stands(track).any(|p| !p.came) {
            return false;
        }
        let is_other = |s: &Stand| {
            let beside = (track.born_ns..track.born_ns + LOST_NS).contains(&s.seen_ns);
            let fits = s.is_person == is_person(track) && s.bbox.iou(&track.bbox) > 0.5;
            beside && fits && now_ns.saturating_sub(s.seen_ns) >= LOST_NS && s.has_come_and_stood()
        };
        let other = self.tracks.iter().find(|(_, s)| is_other(s));
        let Some(other) = other.map(|(id, _)| *id) else {
            return false;
        };
        self.tracks.remove(&other);
        let places = self.places.iter_mut().filter(|p| p.by == other);
        places.for_each(|p| p.by = track.id);
        true
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
    let on_spot = |p: &Place| p.bbox.iou(&track.bbox) > 0.6;
    let taken = Place {
        bbox: track.bbox,
        seen_ns: now_ns,
        by: track.id,
        came,
        is_person: is_person(track),
    };
    if let Some(place) = places.iter_mut().find(|p| p.came == came && on_spot(p)) {
        // Where it stood first.
        let bbox = place.bbox;
        *place = Place { bbox, ..taken };
        return;
    }
    match places.iter_mut().find(|p| !came && on_spot(p)) {
        // Of two boxes on one spot that of somebody who came counts: the other may be a second box of the same body.
        Some(place) if now_ns.saturating_sub(place.seen_ns) < LOST_NS => {}
        Some(place) => *place = taken,
        None => places.push(taken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn person(id: u64, x: f32) -> Track {
        Track {
            id,
            class: PERSON.into(),
            bbox: BBox {
                x1: x,
                y1: 0.4,
                x2: x + 0.1,
                y2: 0.8,
            },
            score: 0.9,
            seen: true,
            hits: 9,
            born_ns: 0,
        }
    }

    /// One of five frames a second.
    fn looks(still: &mut Stillness, fifth: u64, tracks: &[Track]) {
        let frame = TrackedFrame {
            pts_ns: fifth * S / 5,
            tracks: tracks.to_vec(),
        };
        still.observe(&frame, 1.0);
    }

    /// From one second to another.
    fn stands(still: &mut Stillness, seconds: std::ops::Range<u64>, tracks: &[Track]) {
        (seconds.start * 5..seconds.end * 5).for_each(|fifth| looks(still, fifth, tracks));
    }

    /// Somebody has come to 0.5 and stood there from the first second to the thirtieth.
    fn somebody_stands() -> Stillness {
        let mut still = Stillness::default();
        stands(&mut still, 0..1, &[person(1, 0.1)]);
        stands(&mut still, 1..30, &[person(1, 0.5)]);
        still
    }

    #[test]
    fn who_came_and_was_hidden_for_minutes_is_a_part_of_the_place_only_after_standing_there_in_view() {
        let mut still = somebody_stands();
        let found = person(2, 0.5);
        stands(&mut still, 150..151, std::slice::from_ref(&found));
        assert!(!still.was_there(&found));
        stands(&mut still, 151..172, std::slice::from_ref(&found));
        assert!(still.was_there(&found), "nobody saw this one come");
    }

    #[test]
    fn a_second_box_on_somebody_who_came_makes_them_no_part_of_the_place() {
        for first in [true, false] {
            let mut still = somebody_stands();
            let mut both = [person(1, 0.5), person(2, 0.51)];
            if !first {
                both.reverse();
            }
            stands(&mut still, 30..55, &both);
            let found = person(3, 0.5);
            stands(&mut still, 60..61, std::slice::from_ref(&found));
            assert!(!still.was_there(&found));
        }
    }

    #[test]
    fn whose_track_goes_on_with_the_box_of_a_passer_by_is_known_under_the_next_one() {
        // What the going uncovers, such as a coat, has not come.
        for (born_ns, is_they) in [(30 * S, true), (30 * S + S / 5, false)] {
            let mut still = somebody_stands();
            let next = Track {
                born_ns,
                ..person(3, 0.5)
            };
            looks(&mut still, 150, &[person(1, 0.58)]);
            looks(&mut still, 151, &[person(1, 0.65)]);
            looks(&mut still, 152, &[person(1, 0.72), next.clone()]);
            stands(&mut still, 31..60, std::slice::from_ref(&next));
            assert_eq!(still.was_there(&next), !is_they, "{born_ns}");
        }
    }

    #[test]
    fn of_two_boxes_of_somebody_who_came_the_one_that_lives_on_has_come_too() {
        // They stand for less than makes a place.
        let mut still = Stillness::default();
        stands(&mut still, 0..1, &[person(1, 0.1)]);
        stands(&mut still, 1..10, &[person(1, 0.5)]);
        let second = Track {
            born_ns: 10 * S,
            ..person(2, 0.51)
        };
        stands(&mut still, 10..11, &[person(1, 0.5), second.clone()]);
        stands(&mut still, 11..60, std::slice::from_ref(&second));
        assert!(!still.was_there(&second));
    }

    #[test]
    fn a_coat_stays_a_part_of_the_place_while_somebody_stands_before_it_and_afterwards() {
        for first in [true, false] {
            let mut still = Stillness::default();
            stands(&mut still, 0..30, &[person(1, 0.5)]);
            stands(&mut still, 30..31, &[person(1, 0.5), person(2, 0.1)]);
            let mut both = [person(1, 0.5), person(2, 0.51)];
            if !first {
                both.reverse();
            }
            stands(&mut still, 31..60, &both);
            assert!(still.was_there(&person(1, 0.5)));
            // It is hidden for a while, they go, and it is found again.
            stands(&mut still, 60..70, &[person(2, 0.51)]);
            stands(&mut still, 70..71, &[person(2, 0.1)]);
            let found = person(3, 0.5);
            stands(&mut still, 71..72, &[person(2, 0.1), found.clone()]);
            assert!(still.was_there(&found));
        }
    }
}
