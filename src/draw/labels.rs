//! Words that keep out of each other's way. What is placed first has the better place; nothing is drawn before the end, so that no
//! outline crosses them.

use super::{LETTER, Rect, dot_px, fitted, on_paper, size_px, stroke, stroke_px};
use crate::colour::{BLACK, Rgb};
use crate::data::{BBox, Picture, Point, Severity};

/// A place one further down the list must hide so many dots of boxes less.
const STEP_DOTS: i64 = 24;
/// Words beside a box are no wider than this part of the picture where shorter ones are there.
const WIDEST: i64 = 4;
/// Names of zones and lines are cut to this part of the picture's width.
const NAME: i64 = 3;
/// The heading takes at most this part of the picture's height.
const HEADING: i64 = 3;

/// What the words of an alert stand on: so dark that whatever is written there is read. Red letters on black are not, as a video's colours
/// are coarser than its brightness.
pub fn paper(severity: Severity) -> Rgb {
    match severity {
        Severity::Info => [0, 60, 110],
        Severity::Warning => [120, 70, 0],
        Severity::Critical => [150, 0, 0],
    }
}

/// Words for one picture.
pub struct Labels {
    width: i64,
    height: i64,
    dot: i64,
    stroke: i64,
    /// No words come here.
    taken: Vec<Rect>,
    /// Words come here where there is no better place.
    shy: Vec<Rect>,
    words: Vec<Words>,
}

struct Words {
    at: Rect,
    text: String,
    ink: Rgb,
    paper: Rgb,
    /// The ends of a line to the box that they belong to, where they do not touch it.
    thread: Option<((i64, i64), (i64, i64))>,
}

impl Labels {
    pub fn new(p: &Picture) -> Self {
        Self {
            width: i64::from(p.width),
            height: i64::from(p.height),
            dot: dot_px(p),
            stroke: stroke_px(p),
            taken: Vec::new(),
            shy: Vec::new(),
            words: Vec::new(),
        }
    }

    /// No words there.
    pub fn keep_free(&mut self, rect: Rect) {
        self.taken.push(rect);
    }

    /// Words there only where there is no better place.
    pub fn avoid(&mut self, b: &BBox) {
        self.shy.push(self.pixels(b));
    }

    /// Lines at the upper left, each on its own paper; those that have no room are counted.
    pub fn heading(&mut self, lines: &[(String, Rgb)], ink: Rgb) {
        let row = self.size(0).1 + self.dot;
        let rows = (self.height / HEADING / row).max(2) as usize;
        let shown = if lines.len() > rows { rows - 1 } else { lines.len() };
        let rest = lines.len() - shown;
        let more = (rest > 0).then(|| (format!("and {rest} more"), BLACK));
        let margin = 2 * self.dot;
        for (i, (text, paper)) in lines[..shown].iter().chain(&more).enumerate() {
            let text = fitted(text, self.letters(self.width - 2 * margin));
            let (w, h) = self.size(text.chars().count());
            let at = Rect {
                x: margin,
                y: margin + row * i as i64,
                w,
                h,
            };
            self.place(at, text, ink, *paper, None);
        }
    }

    /// Words at a box: above it where there is room, else below, beside or within it, the first of `forms` that finds a place without
    /// hiding other words. Where none does they are left away: two labels on top of each other tell nothing.
    pub fn beside(&mut self, b: &BBox, ink: Rgb, paper: Rgb, forms: &[String]) {
        let own = self.pixels(b);
        for (i, form) in forms.iter().enumerate() {
            let text = fitted(form, self.letters(self.width));
            let (w, h) = self.size(text.chars().count());
            let is_last = i + 1 == forms.len();
            if text.is_empty() || (w > self.width / WIDEST && !is_last) {
                continue;
            }
            if let Some(at) = self.best(self.places_beside(&own, w, h)) {
                let touches = own.grown(self.stroke + self.dot + 1).shared(&at) > 0;
                let thread = (!touches).then(|| between(&at, &own));
                self.place(at, text, ink, paper, thread);
                return;
            }
        }
    }

    /// The name of what has these corners: at one of them or between two, inwards if possible. Left away where it would hide other words.
    pub fn name(&mut self, corners: &[Point], ink: Rgb, name: &str) {
        let text = fitted(name, self.letters(self.width / NAME));
        let (w, h) = self.size(text.chars().count());
        let px = |at: Point| {
            let one = |part: f32, size: i64| (part.clamp(0.0, 1.0) * size as f32) as i64;
            (one(at.x, self.width), one(at.y, self.height))
        };
        let n = corners.len().max(1) as i64;
        let sum = corners
            .iter()
            .map(|c| px(*c))
            .fold((0, 0), |sum, (x, y)| (sum.0 + x, sum.1 + y));
        let middle = (sum.0 / n, sum.1 / n);
        let next = corners.iter().cycle().skip(1);
        let between = corners.iter().zip(next).map(|(a, b)| Point {
            x: (a.x + b.x) / 2.0,
            y: (a.y + b.y) / 2.0,
        });
        let mut points: Vec<_> = corners.iter().map(|c| px(*c)).collect();
        points.sort_by_key(|(x, y)| (*y, *x));
        points.extend(between.map(px));
        let gap = self.stroke + self.dot;
        let mut places = Vec::new();
        for (x, y) in points {
            let mut around = [
                (x + gap, y + gap),
                (x - gap - w, y + gap),
                (x + gap, y - gap - h),
                (x - gap - w, y - gap - h),
            ]
            .map(|(x, y)| self.within(Rect { x, y, w, h }));
            around.sort_by_key(|r| (r.x + w / 2 - middle.0).pow(2) + (r.y + h / 2 - middle.1).pow(2));
            places.extend(around);
        }
        if let Some(at) = self.best(places) {
            self.place(at, text, ink, BLACK, None);
        }
    }

    /// Draws them all.
    pub fn write(self, p: &mut Picture) {
        for words in &self.words {
            if let Some((from, to)) = words.thread {
                stroke(p, from, to, self.dot, words.ink);
            }
        }
        for words in &self.words {
            on_paper(p, words.at.x, words.at.y, words.ink, words.paper, &words.text);
        }
    }

    fn place(&mut self, at: Rect, text: String, ink: Rgb, paper: Rgb, thread: Option<((i64, i64), (i64, i64))>) {
        self.taken.push(at);
        self.words.push(Words {
            at,
            text,
            ink,
            paper,
            thread,
        });
    }

    /// The first place without other words, or a later one that hides enough less of the boxes.
    fn best(&self, places: Vec<Rect>) -> Option<Rect> {
        let step = STEP_DOTS * self.dot * self.dot;
        let is_free = |at: &Rect| {
            let around = at.grown(self.dot);
            self.taken.iter().all(|t| t.shared(&around) == 0)
        };
        places
            .into_iter()
            .enumerate()
            .filter(|(_, at)| is_free(at))
            .min_by_key(|(i, at)| step * *i as i64 + self.shy.iter().map(|b| b.shared(at)).sum::<i64>())
            .map(|(_, at)| at)
    }

    fn places_beside(&self, own: &Rect, w: i64, h: i64) -> Vec<Rect> {
        let (right, bottom) = (own.x + own.w, own.y + own.h);
        let gap = self.stroke + 1;
        let columns = [own.x, right - w, own.x + (own.w - w) / 2];
        let row = |y: i64| columns.map(|x| (x, y));
        let [above, below] = [own.y - h - 1, bottom + gap];
        let sides = [(right + gap, own.y), (own.x - w - gap, own.y)];
        let places = row(above).into_iter().chain(row(below)).chain(sides);
        let further = row(above - h - gap).into_iter().chain(row(below + h + gap));
        let inside = row(own.y + gap).into_iter().chain(row(bottom - h - 1));
        places
            .chain(further)
            .chain(inside)
            .map(|(x, y)| self.within(Rect { x, y, w, h }))
            .collect()
    }

    /// The same size, in the picture.
    fn within(&self, r: Rect) -> Rect {
        Rect {
            x: r.x.min(self.width - r.w).max(0),
            y: r.y.min(self.height - r.h).max(0),
            ..r
        }
    }

    /// What of a box is in the picture.
    fn pixels(&self, b: &BBox) -> Rect {
        let one = |part: f32, size: i64| (part.clamp(0.0, 1.0) * size as f32) as i64;
        let (x, y) = (one(b.x1, self.width), one(b.y1, self.height));
        Rect {
            x,
            y,
            w: (one(b.x2, self.width) - x).max(0),
            h: (one(b.y2, self.height) - y).max(0),
        }
    }

    fn size(&self, letters: usize) -> (i64, i64) {
        size_px(self.dot, letters)
    }

    /// How many fit into such a width.
    fn letters(&self, width: i64) -> usize {
        ((width / self.dot - 2) / LETTER).max(0) as usize
    }
}

/// The ends of a short line between two rectangles one above the other or side by side.
fn between(a: &Rect, b: &Rect) -> ((i64, i64), (i64, i64)) {
    let one = |a: i64, long: i64, b: i64, wide: i64| {
        if a + long <= b {
            (a + long, b)
        } else if b + wide <= a {
            (a, b + wide)
        } else {
            let middle = (a.max(b) + (a + long).min(b + wide)) / 2;
            (middle, middle)
        }
    };
    let (from_x, to_x) = one(a.x, a.w, b.x, b.w);
    let (from_y, to_y) = one(a.y, a.h, b.y, b.h);
    ((from_x, from_y), (to_x, to_y))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INK: Rgb = [64, 220, 96];

    fn labels(width: u32, height: u32) -> Labels {
        Labels::new(&Picture {
            width,
            height,
            rgb: Vec::new(),
        })
    }

    fn person(x1: f32, y1: f32) -> BBox {
        BBox {
            x1,
            y1,
            x2: x1 + 0.04,
            y2: y1 + 0.15,
        }
    }

    fn forms(id: usize) -> Vec<String> {
        vec![format!("person {id} 0.81"), format!("person {id}"), id.to_string()]
    }

    fn hide_nothing(labels: &Labels) {
        for (i, a) in labels.words.iter().enumerate() {
            let (w, h) = (labels.width, labels.height);
            let picture = Rect { x: 0, y: 0, w, h };
            assert_eq!(picture.shared(&a.at), a.at.w * a.at.h, "{} is cut", a.text);
            for b in &labels.words[i + 1..] {
                assert_eq!(a.at.shared(&b.at), 0, "{} and {}", a.text, b.text);
            }
        }
    }

    /// On all sizes of pictures, in a row, and at the edges.
    #[test]
    fn labels_of_people_side_by_side_do_not_overlap() {
        for (width, height) in [(320, 240), (640, 480), (1280, 720), (1920, 1080)] {
            for top in [0.0, 0.3, 0.85] {
                let mut labels = labels(width, height);
                labels.heading(&[("intrusion yard 0.88".into(), BLACK)], INK);
                let boxes: Vec<BBox> = (0..6).map(|i| person(0.75 + 0.045 * i as f32, top)).collect();
                boxes.iter().for_each(|b| labels.avoid(b));
                for (id, b) in boxes.iter().enumerate() {
                    labels.beside(b, INK, BLACK, &forms(id));
                }
                hide_nothing(&labels);
                // Nobody is left without a label here.
                assert_eq!(labels.words.len(), 7, "{width}×{height} at {top}");
            }
        }
    }

    #[test]
    fn who_stands_alone_has_the_whole_label_above_the_box() {
        let mut labels = labels(640, 480);
        labels.beside(&person(0.5, 0.5), INK, BLACK, &forms(3));
        let words = &labels.words[0];
        assert_eq!(words.text, "person 3 0.81");
        assert_eq!((words.at.x, words.at.y + words.at.h), (320, 239));
        assert!(words.thread.is_none());
    }

    #[test]
    fn where_there_is_no_room_a_label_grows_short_and_at_last_is_left_away() {
        let mut labels = labels(320, 240);
        let same = person(0.5, 0.5);
        for id in 0..60 {
            labels.beside(&same, INK, BLACK, &forms(id));
        }
        hide_nothing(&labels);
        let written: Vec<&str> = labels.words.iter().map(|w| w.text.as_str()).collect();
        assert!(written.len() > 6 && written.len() < 60, "{written:?}");
        assert!(written.contains(&"person 0"), "{written:?}");
    }

    #[test]
    fn a_far_label_has_a_thread_to_its_box() {
        let mut labels = labels(640, 480);
        let b = person(0.5, 0.5);
        // Room in the second row above only.
        let (x, y, w, h) = (0, 228, 640, 252);
        labels.keep_free(Rect { x, y, w, h });
        labels.beside(&b, INK, BLACK, &forms(0));
        let words = &labels.words[0];
        let (from, to) = words.thread.unwrap();
        assert_eq!((from.1, to.1), (words.at.y + words.at.h, 240));
    }

    #[test]
    fn a_zones_name_stands_within_it_and_gives_way_to_people_and_their_labels() {
        let corners = [(0.1, 0.2), (0.9, 0.2), (0.9, 0.9), (0.1, 0.9)].map(|(x, y)| Point { x, y });
        let mut free = labels(640, 480);
        free.name(&corners, INK, "yard");
        let at = free.words[0].at;
        assert!(at.x > 64 && at.x < 75 && at.y > 96 && at.y < 105, "{at:?}");
        let mut full = labels(640, 480);
        let somebody = person(0.1, 0.19);
        full.avoid(&somebody);
        full.beside(&somebody, INK, BLACK, &forms(1));
        full.name(&corners, INK, "yard");
        hide_nothing(&full);
        assert_eq!(full.words.len(), 2);
        assert_eq!(full.pixels(&somebody).shared(&full.words[1].at), 0);
    }

    #[test]
    fn long_names_and_many_alerts_leave_the_picture_visible() {
        let mut labels = labels(640, 480);
        let long = "the_lawn_beside_the_very_long_fence_at_the_northern_gate_house".to_owned();
        let lines: Vec<_> = (0..40)
            .map(|i| (format!("line_crossing {long} {long} 0.{i:02}"), BLACK))
            .collect();
        labels.heading(&lines, INK);
        labels.name(&[Point { x: 1.0, y: 1.0 }], INK, &long);
        hide_nothing(&labels);
        let [.., more, name] = &labels.words[..] else {
            panic!("nothing is written")
        };
        assert!(
            more.text.starts_with("and ") && more.at.y + more.at.h <= 162,
            "{}",
            more.text
        );
        assert!(name.at.w <= 214 && name.text.starts_with("the_lawn") && name.text.ends_with("house"));
        assert!(labels.words[0].text.ends_with("0.00"));
    }
}
