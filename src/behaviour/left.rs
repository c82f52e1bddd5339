//! Something was put down and left, or is gone from where it stood. A rule, not a learned detector: it knows no objects,
//! only that a small part of the picture became another while somebody was there, and has stayed so since (two
//! backgrounds, one that follows at once and one that waits, after Porikli, 2007).

use super::places::Places;
use super::{Zone, by_rule, told_by};
use crate::cells::{Cells, Colour, distance, follow, without_shift};
use crate::data::{AlertTrack, BBox, Finding, Kind, TrackedFrame};

#[derive(Clone, Debug, PartialEq)]
pub struct LeftOptions {
    /// It stays there, or away, for so long.
    pub min_s: f32,
}

impl Default for LeftOptions {
    fn default() -> Self {
        Self { min_s: 60.0 }
    }
}

/// A cell is known after so many pictures in which no track hid it.
const KNOWN: u32 = 20;
/// A cell shows another thing when it differs by so many grey levels, and by so often its own noise.
const LEAST: f32 = 14.0;
const TIMES_NOISE: f32 = 6.0;
const MOST: f32 = 60.0;
/// And for so long: what is shorter walks by.
const OTHER_NS: u64 = 2_000_000_000;
/// Somebody was there: within so long, and so many of their heights around their box.
const NEAR_NS: u64 = 10_000_000_000;
const NEAR_HEIGHTS: f32 = 0.5;
/// A box is rarely exact: what lies so close to it is hidden too.
const HIDES_HEIGHTS: f32 = 0.1;
/// How slowly the waiting background follows small changes.
const FOLLOW_S: f32 = 60.0;
/// What has stayed for so long is a part of the place.
const ABSORB_NS: u64 = 1_800_000_000_000;
/// Cells of an object at least; of the picture's width and height at most; and how well it fills its box.
const LEAST_CELLS: usize = 4;
const MOST_PART: f32 = 0.25;
const LEAST_FILL: f32 = 0.35;
/// Where more of the picture differs, the light or the view is another: it is learned anew when that lasts.
const SCENE_PART: f32 = 0.2;
const SCENE_NS: u64 = 10_000_000_000;
/// What was there has a pattern when its grey levels spread by so much, and shows through when it is so much alike.
const PATTERN: f32 = 6.0;
const ALIKE: f32 = 0.85;
const SCORE: f32 = 0.7;

pub(super) struct Left {
    options: LeftOptions,
    places: Places,
    columns: usize,
    cells: Vec<Cell>,
    /// Objects told of so far.
    told: u64,
    last_ns: u64,
    /// Since when the whole view is another.
    other_view_ns: Option<u64>,
    /// Boxes of the last frame, and whether it is a person's; and when that was.
    boxes: Vec<(BBox, bool)>,
    boxes_ns: u64,
    /// Width over height of the picture.
    aspect: f32,
}

struct Cell {
    /// Pictures that it was learned from, up to `KNOWN`.
    pictures: u32,
    /// How it was, and how it is, both without what the whole picture has changed by.
    background: Colour,
    now: Colour,
    noise: f32,
    /// Since when it is so, and whether somebody was there then; and until when it was seen to be as before. Who puts a thing down
    /// hides a part of it: when that part changed nobody knows.
    since_ns: u64,
    touched: bool,
    until_ns: u64,
    /// When it was last seen to be as it is.
    same_ns: u64,
    /// The object that was told of and that it belongs to.
    told: Option<u64>,
    /// Since when it shows something else again.
    other_ns: Option<u64>,
    /// When somebody was near it last.
    near_ns: Option<u64>,
}

impl Cell {
    fn new(colour: Colour, at_ns: u64) -> Self {
        Self {
            pictures: 0,
            background: colour,
            now: colour,
            noise: 0.0,
            since_ns: at_ns,
            touched: false,
            until_ns: at_ns,
            same_ns: at_ns,
            told: None,
            other_ns: None,
            near_ns: None,
        }
    }

    fn threshold(&self) -> f32 {
        (TIMES_NOISE * self.noise).clamp(LEAST, MOST)
    }

    fn is_known(&self) -> bool {
        self.pictures >= KNOWN
    }

    fn is_other(&self) -> bool {
        self.is_known() && distance(&self.now, &self.background) > self.threshold()
    }

    fn learn(&mut self, colour: &Colour) {
        self.pictures += 1;
        let part = 1.0 / self.pictures as f32;
        self.noise += (distance(colour, &self.background) - self.noise) * part;
        follow(&mut self.background, colour, part);
        self.now = self.background;
    }

    fn take(&mut self, colour: &Colour, at_ns: u64, dt_s: f32) {
        if !self.is_known() {
            self.same_ns = at_ns;
            return self.learn(colour);
        }
        let away = distance(colour, &self.now);
        if away <= self.threshold() {
            (self.other_ns, self.same_ns) = (None, at_ns);
            let part = (dt_s / FOLLOW_S).min(1.0);
            self.noise += (away - self.noise) * part;
            follow(&mut self.now, colour, part);
        } else {
            let other_ns = *self.other_ns.get_or_insert(at_ns);
            if at_ns.saturating_sub(other_ns) >= OTHER_NS {
                (self.now, self.since_ns, self.other_ns) = (*colour, other_ns, None);
                (self.until_ns, self.same_ns) = (self.same_ns, at_ns);
                self.told = None;
                self.touched = self.near_ns.is_some_and(|near| near + NEAR_NS >= other_ns);
            }
        }
        if !self.is_other() {
            follow(&mut self.background, colour, (dt_s / FOLLOW_S).min(1.0));
        } else if at_ns.saturating_sub(self.since_ns) >= ABSORB_NS {
            self.background = self.now;
        }
    }
}

impl Left {
    pub fn new(options: LeftOptions, zones: &[Zone]) -> Self {
        Self {
            options,
            places: Places::of(Kind::LeftOrTaken, zones),
            columns: 0,
            cells: Vec::new(),
            told: 0,
            last_ns: 0,
            other_view_ns: None,
            boxes: Vec::new(),
            boxes_ns: 0,
            aspect: 1.0,
        }
    }

    /// The stream was interrupted: what it knows of the place is kept, who was there is not.
    pub fn reset(&mut self) {
        self.boxes.clear();
        self.cells.iter_mut().for_each(|c| c.near_ns = None);
    }

    pub fn observe(&mut self, frame: &TrackedFrame, aspect: f32) {
        self.aspect = aspect;
        self.boxes_ns = frame.pts_ns;
        self.boxes = frame.tracks.iter().map(|t| (t.bbox, &*t.class == "person")).collect();
    }

    /// One picture, about twice a second.
    pub fn look(&mut self, picture: &Cells, at_ns: u64) -> Vec<Finding> {
        if picture.columns != self.columns || picture.colours.len() != self.cells.len() || at_ns < self.last_ns {
            self.begin(picture, at_ns);
        }
        let dt_s = ((at_ns - self.last_ns) as f32 / 1e9).min(5.0);
        self.last_ns = at_ns;
        // The detector fails: whoever stands there now would be a thing, and who stood there would be near for ever.
        if at_ns > self.boxes_ns + NEAR_NS {
            return Vec::new();
        }
        let before: Vec<Colour> = self.cells.iter().map(|c| c.background).collect();
        let colours = without_shift(&picture.colours, &before);
        let (hidden, attended) = self.hidden(at_ns);
        let differs = |cell: &Cell, colour| cell.is_known() && distance(colour, &cell.now) > cell.threshold();
        let seen = self.cells.iter().zip(&colours).zip(&hidden);
        let others = seen.filter(|((cell, colour), hidden)| !**hidden && differs(cell, colour));
        if others.count() as f32 > SCENE_PART * self.cells.len() as f32 {
            let since_ns = *self.other_view_ns.get_or_insert(at_ns);
            if at_ns - since_ns >= SCENE_NS {
                self.begin(picture, at_ns);
            }
            return Vec::new();
        }
        self.other_view_ns = None;
        for ((cell, colour), _) in self.cells.iter_mut().zip(&colours).zip(&hidden).filter(|(_, h)| !**h) {
            cell.take(colour, at_ns, dt_s);
        }
        self.objects(&attended, at_ns)
    }

    fn begin(&mut self, picture: &Cells, at_ns: u64) {
        self.columns = picture.columns;
        self.cells = picture.colours.iter().map(|c| Cell::new(*c, at_ns)).collect();
        (self.last_ns, self.other_view_ns) = (at_ns, None);
    }

    fn rows(&self) -> usize {
        self.cells.len() / self.columns.max(1)
    }

    /// Which cells a track hides, and which of them a person; notes beside it where somebody is near.
    fn hidden(&mut self, at_ns: u64) -> (Vec<bool>, Vec<bool>) {
        let (columns, rows) = (self.columns as f32, self.rows() as f32);
        let (mut hidden, mut by_person) = (vec![false; self.cells.len()], vec![false; self.cells.len()]);
        // In a wide picture a part of its height counts as the same part of its width: so the limits were chosen.
        let wide = self.aspect.min(1.0);
        for (bbox, is_person) in &self.boxes {
            let height = bbox.height();
            for (i, cell) in self.cells.iter_mut().enumerate() {
                let x = ((i % self.columns) as f32 + 0.5) / columns;
                let y = ((i / self.columns) as f32 + 0.5) / rows;
                let within = |grow: f32| {
                    let (dx, dy) = ((grow / wide).max(1.0 / columns), grow.max(1.0 / rows));
                    (bbox.x1 - dx..=bbox.x2 + dx).contains(&x) && (bbox.y1 - dy..=bbox.y2 + dy).contains(&y)
                };
                let hides = within(HIDES_HEIGHTS * height);
                hidden[i] |= hides;
                by_person[i] |= hides && *is_person;
                if *is_person && within(NEAR_HEIGHTS * height) {
                    cell.near_ns = Some(at_ns);
                }
            }
        }
        (hidden, by_person)
    }

    /// Cells that have been other for long enough, gathered into objects.
    /// `by_person`: the cells that somebody hides.
    fn objects(&mut self, by_person: &[bool], at_ns: u64) -> Vec<Finding> {
        let long_ns = (self.options.min_s * 1e9) as u64;
        let is_there = |c: &Cell| c.is_other() && c.other_ns.is_none();
        let stays = |c: &Cell| c.touched && is_there(c) && at_ns.saturating_sub(c.since_ns) >= long_ns;
        let mut open: Vec<bool> = self.cells.iter().map(stays).collect();
        let mut found = Vec::new();
        for start in 0..open.len() {
            if std::mem::take(&mut open[start]) {
                let group = self.group(start, &mut open);
                // Somebody stands at it: it is not left. What was told already stays told when people walk past.
                let attended = group
                    .iter()
                    .any(|i| neighbours(*i, self.columns, by_person.len()).any(|j| by_person[j]));
                // Its parts come into view one after another: what hangs together by cells that are other for less long.
                let whole = self.group(start, &mut self.cells.iter().map(is_there).collect::<Vec<_>>());
                let known = whole.iter().filter_map(|i| self.cells[*i].told).min();
                if attended && known.is_none() {
                    continue;
                }
                if known.is_none() && !self.came_at_once(&group) {
                    continue;
                }
                let objects = self.object(&group, at_ns);
                if objects.is_empty() {
                    continue;
                }
                let number = known.unwrap_or(self.told + 1);
                self.told = self.told.max(number);
                group.iter().for_each(|i| self.cells[*i].told = Some(number));
                found.extend(objects.into_iter().map(|object| Finding {
                    key_track: Some(number),
                    ..object
                }));
            }
        }
        found
    }

    /// The cells that hang together with one, over corners too.
    fn group(&self, start: usize, open: &mut [bool]) -> Vec<usize> {
        let mut group = vec![start];
        let mut next = 0;
        while let Some(i) = group.get(next).copied() {
            next += 1;
            for j in neighbours(i, self.columns, open.len()) {
                if std::mem::take(&mut open[j]) {
                    group.push(j);
                }
            }
        }
        group
    }

    /// One finding for each zone that it lies in.
    fn object(&self, group: &[usize], at_ns: u64) -> Vec<Finding> {
        let Some((bbox, since_ns)) = self.extent(group) else {
            return Vec::new();
        };
        // An object has an edge: it was left if that is stronger now, and taken if it was stronger before.
        let (mut is, mut was) = (0.0, 0.0);
        for i in group {
            for j in neighbours(*i, self.columns, self.cells.len()).filter(|j| !group.contains(j)) {
                is += distance(&self.cells[*i].now, &self.cells[j].now);
                was += distance(&self.cells[*i].background, &self.cells[j].background);
            }
        }
        let label = if is >= was { "something left" } else { "something taken" };
        // No track follows it.
        let thing = AlertTrack {
            id: 0,
            class: "object".into(),
            score: SCORE,
            bbox,
        };
        let finding = |zone| Finding {
            zone,
            tracks: vec![thing.clone()],
            at_ns: since_ns,
            ..told_by(Kind::LeftOrTaken, by_rule("left_or_taken", label.into(), SCORE, at_ns))
        };
        let zones = self.places.of_point(bbox.bottom());
        zones.into_iter().map(finding).collect()
    }

    /// Where it is and since when; None where it is no thing.
    fn extent(&self, group: &[usize]) -> Option<(BBox, u64)> {
        let (columns, rows) = (self.columns, self.rows());
        let column = |i: &usize| i % columns;
        let (x1, x2) = (group.iter().map(column).min()?, group.iter().map(column).max()? + 1);
        let (y1, y2) = (group.iter().min()? / columns, group.iter().max()? / columns + 1);
        let small = (x2 - x1) as f32 <= MOST_PART * columns as f32 && (y2 - y1) as f32 <= MOST_PART * rows as f32;
        let fill = group.len() as f32 / ((x2 - x1) * (y2 - y1)) as f32;
        if group.len() < LEAST_CELLS || !small || fill < LEAST_FILL || self.is_light(group) {
            return None;
        }
        let bbox = BBox {
            x1: x1 as f32 / columns as f32,
            y1: y1 as f32 / rows as f32,
            x2: x2 as f32 / columns as f32,
            y2: y2 as f32 / rows as f32,
        };
        Some((bbox, group.iter().map(|i| self.cells[*i].since_ns).min()?))
    }

    /// A thing is there all at once; light and shade grow and wander.
    fn came_at_once(&self, group: &[usize]) -> bool {
        let around = group
            .iter()
            .flat_map(|i| neighbours(*i, self.columns, self.cells.len()));
        let others = around
            .chain(group.iter().copied())
            .filter(|j| self.cells[*j].is_other());
        let when: Vec<(u64, u64)> = others
            .map(|j| (self.cells[j].until_ns, self.cells[j].since_ns))
            .collect();
        let (last, first) = (when.iter().map(|w| w.0).max(), when.iter().map(|w| w.1).min());
        last.zip(first)
            .is_some_and(|(last, first)| last.saturating_sub(first) <= NEAR_NS)
    }

    /// Light and shade leave the pattern of what they fall on.
    fn is_light(&self, group: &[usize]) -> bool {
        let grey = |c: &Colour| c.iter().sum::<f32>() / 3.0;
        let is: Vec<f32> = group.iter().map(|i| grey(&self.cells[*i].now)).collect();
        let was: Vec<f32> = group.iter().map(|i| grey(&self.cells[*i].background)).collect();
        let spread = |v: &[f32]| {
            let mean = v.iter().sum::<f32>() / v.len() as f32;
            v.iter().map(move |x| x - mean).collect::<Vec<f32>>()
        };
        let (is, was) = (spread(&is), spread(&was));
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let patterned = product(&was, &was) > PATTERN * PATTERN * was.len() as f32;
        patterned && product(&is, &was) > ALIKE * (product(&is, &is) * product(&was, &was)).sqrt()
    }
}

/// Indices of the up to eight cells around one.
fn neighbours(i: usize, columns: usize, cells: usize) -> impl Iterator<Item = usize> {
    let (x, y) = ((i % columns) as isize, (i / columns) as isize);
    let around = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx, dy)));
    around
        .filter(|d| *d != (0, 0))
        .map(move |(dx, dy)| (x + dx, y + dy))
        .filter(move |(x, y)| (0..columns as isize).contains(x) && *y >= 0)
        .map(move |(x, y)| y as usize * columns + x as usize)
        .filter(move |j| *j < cells)
}
