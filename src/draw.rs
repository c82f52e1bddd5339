//! Boxes, lines and words on pictures. Places are fractions of the picture; what lies outside is left away.

mod labels;

use font8x8::UnicodeFonts;

use crate::colour::{BLACK, Rgb};
use crate::data::{BBox, Picture, Point};

pub use labels::{Labels, paper};

/// Dots of a letter's cell, and of a row of words: a letter and a dot of paper around it.
const LETTER: i64 = 8;
const ROW: i64 = LETTER + 2;
/// A picture of about this many pixels a side has words of one pixel a dot; they grow with it.
const SIDE_OF_A_DOT: f64 = 600.0;
/// On smaller pictures thick outlines hide who is inside.
const SMALL_SIDE: f64 = 400.0;

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    pub x: i64,
    pub y: i64,
    pub w: i64,
    pub h: i64,
}

impl Rect {
    /// Pixels that both have.
    fn shared(&self, other: &Self) -> i64 {
        let across = (self.x + self.w).min(other.x + other.w) - self.x.max(other.x);
        let down = (self.y + self.h).min(other.y + other.h) - self.y.max(other.y);
        across.max(0) * down.max(0)
    }

    fn grown(&self, by: i64) -> Self {
        Self {
            x: self.x - by,
            y: self.y - by,
            w: self.w + 2 * by,
            h: self.h + 2 * by,
        }
    }
}

/// What a side would be if the picture were a square.
fn side(p: &Picture) -> f64 {
    (f64::from(p.width) * f64::from(p.height)).sqrt()
}

/// Pixels of a dot: words take about the same part of a small picture and of a large one.
pub fn dot_px(p: &Picture) -> i64 {
    (side(p) / SIDE_OF_A_DOT).round().max(1.0) as i64
}

/// Width and height of so many letters in a row, with the paper around them.
pub fn words_px(p: &Picture, letters: usize) -> (i64, i64) {
    size_px(dot_px(p), letters)
}

fn size_px(dot: i64, letters: usize) -> (i64, i64) {
    ((LETTER * letters as i64 + 2) * dot, ROW * dot)
}

fn stroke_px(p: &Picture) -> i64 {
    if side(p) < SMALL_SIDE { 1 } else { dot_px(p) + 1 }
}

fn put(p: &mut Picture, x: i64, y: i64, colour: Rgb) {
    if (0..i64::from(p.width)).contains(&x) && (0..i64::from(p.height)).contains(&y) {
        let at = (y as usize * p.width as usize + x as usize) * 3;
        p.rgb[at..at + 3].copy_from_slice(&colour);
    }
}

fn fill(p: &mut Picture, x: i64, y: i64, w: i64, h: i64, colour: Rgb) {
    for yy in y..y + h {
        for xx in x..x + w {
            put(p, xx, yy, colour);
        }
    }
}

/// The left upper pixel of a stroke at a point. What lies at the picture's right or lower edge is still seen.
fn pixel(p: &Picture, at: Point) -> (i64, i64) {
    let wide = stroke_px(p);
    let one = |part: f32, size: u32| {
        let px = (part.clamp(-10.0, 10.0) * size as f32) as i64;
        if (0.0..=1.0).contains(&part) {
            px.min(i64::from(size) - wide).max(0)
        } else {
            px
        }
    };
    (one(at.x, p.width), one(at.y, p.height))
}

fn stroke(p: &mut Picture, (x0, y0): (i64, i64), (x1, y1): (i64, i64), wide: i64, colour: Rgb) {
    let steps = (x1 - x0).abs().max((y1 - y0).abs()).clamp(1, 20_000);
    for i in 0..=steps {
        fill(
            p,
            x0 + (x1 - x0) * i / steps,
            y0 + (y1 - y0) * i / steps,
            wide,
            wide,
            colour,
        );
    }
}

/// Straight lines, each in a black casing: so they are seen on what is bright and what is dark.
fn strokes(p: &mut Picture, lines: &[(Point, Point)], colour: Rgb) {
    let wide = stroke_px(p);
    for (grow, colour) in [(1, BLACK), (0, colour)] {
        for (from, to) in lines {
            let [from, to] = [*from, *to].map(|end| {
                let (x, y) = pixel(p, end);
                (x - grow, y - grow)
            });
            stroke(p, from, to, wide + 2 * grow, colour);
        }
    }
}

/// A straight line.
pub fn line(p: &mut Picture, from: Point, to: Point, colour: Rgb) {
    strokes(p, &[(from, to)], colour);
}

/// A straight line with a head at its end.
pub fn arrow(p: &mut Picture, from: Point, to: Point, colour: Rgb) {
    let (w, h) = (p.width as f32, p.height as f32);
    let (dx, dy) = ((to.x - from.x) * w, (to.y - from.y) * h);
    let long = dx.hypot(dy).max(1.0);
    let head = (10 * dot_px(p)) as f32 / long;
    // Back along the line, and half as far to either side.
    let barb = |sideways: f32| Point {
        x: to.x - head * (dx - sideways * dy) / w,
        y: to.y - head * (dy + sideways * dx) / h,
    };
    let barbs = [barb(0.5), barb(-0.5)];
    strokes(p, &[(from, to), (to, barbs[0]), (to, barbs[1])], colour);
}

/// A closed outline.
pub fn polygon(p: &mut Picture, corners: &[Point], colour: Rgb) {
    let next = corners.iter().cycle().skip(1);
    let lines: Vec<_> = corners.iter().copied().zip(next.copied()).collect();
    strokes(p, &lines, colour);
}

/// A box's outline; [`Labels`] says what it is.
pub fn outline(p: &mut Picture, b: &BBox, colour: Rgb) {
    let corner = |x, y| Point { x, y };
    polygon(
        p,
        &[
            corner(b.x1, b.y1),
            corner(b.x2, b.y1),
            corner(b.x2, b.y2),
            corner(b.x1, b.y2),
        ],
        colour,
    );
}

/// Words on black, from the pixel (x, y) to the right and downwards. What has no room is left out of their middle.
pub fn text(p: &mut Picture, x: i64, y: i64, colour: Rgb, words: &str) {
    let room = (i64::from(p.width) - x) / dot_px(p) - 2;
    on_paper(p, x, y, colour, BLACK, &fitted(words, (room / LETTER).max(0) as usize));
}

/// At most so many letters; what is too much is left out of the middle, as names begin and end with what tells them apart.
pub fn fitted(words: &str, letters: usize) -> String {
    let all: Vec<char> = words.chars().collect();
    if all.len() <= letters {
        return words.to_owned();
    }
    let Some(kept) = letters.checked_sub(2).filter(|kept| *kept >= 2) else {
        return all[..letters].iter().collect();
    };
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    all[..head]
        .iter()
        .chain(&['.', '.'])
        .chain(&all[all.len() - tail..])
        .collect()
}

fn on_paper(p: &mut Picture, x: i64, y: i64, ink: Rgb, paper: Rgb, words: &str) {
    let dot = dot_px(p);
    let (w, h) = words_px(p, words.chars().count());
    fill(p, x, y, w, h, paper);
    for (i, letter) in words.chars().enumerate() {
        // A letter that the font lacks is seen to be one.
        let rows = font8x8::BASIC_FONTS
            .get(letter)
            .or_else(|| font8x8::BASIC_FONTS.get('?'))
            .unwrap_or([0; 8]);
        let left = x + (1 + LETTER * i as i64) * dot;
        for (dy, row) in rows.iter().enumerate() {
            for dx in (0..LETTER).filter(|dx| row >> dx & 1 == 1) {
                fill(p, left + dx * dot, y + (1 + dy as i64) * dot, dot, dot, ink);
            }
        }
    }
}

/// A bar of `part` (0 to 1) of its width, a row of words high.
pub fn bar(p: &mut Picture, x: i64, y: i64, width: i64, part: f32, colour: Rgb) {
    let dot = dot_px(p);
    fill(p, x, y, width, ROW * dot, BLACK);
    let full = (width as f32 * part.clamp(0.0, 1.0)) as i64;
    fill(p, x, y + 2 * dot, full, (ROW - 4) * dot, colour);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn white(width: u32, height: u32) -> Picture {
        Picture {
            width,
            height,
            rgb: vec![255; (width * height * 3) as usize],
        }
    }

    fn at(p: &Picture, x: u32, y: u32) -> &[u8] {
        let at = ((y * p.width + x) * 3) as usize;
        &p.rgb[at..at + 3]
    }

    #[test]
    fn drawing_outside_the_picture_is_left_away() {
        let mut p = Picture {
            width: 20,
            height: 10,
            rgb: vec![7; 600],
        };
        for far in [9.0, f32::INFINITY, f32::NAN] {
            let (x1, y1, x2, y2) = (-3.0, 0.5, far, 4.0);
            let b = BBox { x1, y1, x2, y2 };
            outline(&mut p, &b, [1, 2, 3]);
            let mut labels = Labels::new(&p);
            labels.beside(&b, [1, 2, 3], BLACK, &["a long label".into()]);
            labels.write(&mut p);
        }
        bar(&mut p, 15, 8, 100, 2.0, [9, 9, 9]);
        text(&mut p, 19, 3, [8, 8, 8], "words");
        text(&mut p, 400, -30, [8, 8, 8], "words");
        assert_eq!(p.rgb.len(), 600);
        assert!(p.rgb.chunks(3).any(|c| c == [1, 2, 3]));
    }

    #[test]
    fn a_zone_of_the_whole_picture_has_four_sides_and_is_seen_on_white() {
        let mut p = white(640, 360);
        let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].map(|(x, y)| Point { x, y });
        polygon(&mut p, &corners, [250, 250, 250]);
        for (x, y) in [(0, 100), (639, 100), (300, 0), (300, 359)] {
            assert_eq!(at(&p, x, y), [250; 3], "{x} {y}");
        }
        // Its colour is nearly that of the picture: the casing parts them.
        assert_eq!(at(&p, 2, 100), [0; 3]);
        assert_eq!(at(&p, 3, 100), [255; 3]);
    }

    #[test]
    fn words_grow_with_the_picture() {
        let rows = [(320, 240), (640, 480), (1280, 720), (1920, 1080), (3840, 2160)].map(|(w, h)| {
            let (_, row) = words_px(&white(w, h), 1);
            row
        });
        assert_eq!(rows, [10, 10, 20, 20, 50]);
    }

    #[test]
    fn words_without_room_keep_their_beginning_and_their_end() {
        assert_eq!(fitted("intrusion yard 0.88", 19), "intrusion yard 0.88");
        assert_eq!(fitted("intrusion the_northern_yard 0.88", 19), "intrusion..ard 0.88");
        assert_eq!(fitted("words", 3), "wor");
        assert_eq!(fitted("words", 0), "");
        // All of it is in the picture.
        let mut p = white(80, 20);
        text(&mut p, 2, 2, [9, 9, 9], "a line that is much longer than that");
        assert_eq!(at(&p, 79, 5), [255; 3]);
    }
}
