//! Boxes, lines and words on pictures. Places are fractions of the picture; what lies outside is left away.

use font8x8::UnicodeFonts;

use crate::colour::{BLACK, Rgb};
use crate::data::{BBox, Picture, Point};

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

fn pixel(p: &Picture, at: Point) -> (i64, i64) {
    ((at.x * p.width as f32) as i64, (at.y * p.height as f32) as i64)
}

/// A straight line, two pixels wide.
pub fn line(p: &mut Picture, from: Point, to: Point, colour: Rgb) {
    let ((x0, y0), (x1, y1)) = (pixel(p, from), pixel(p, to));
    let steps = (x1 - x0).abs().max((y1 - y0).abs()).clamp(1, 20_000);
    for i in 0..=steps {
        fill(p, x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps, 2, 2, colour);
    }
}

/// A closed outline.
pub fn polygon(p: &mut Picture, corners: &[Point], colour: Rgb) {
    for (i, corner) in corners.iter().enumerate() {
        line(p, *corner, corners[(i + 1) % corners.len()], colour);
    }
}

/// An outline with a label above it.
pub fn boxed(p: &mut Picture, b: &BBox, colour: Rgb, label: &str) {
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
    let (x, y) = pixel(p, corner(b.x1, b.y1));
    // At the right edge the whole label is in the picture.
    let last = i64::from(p.width) - 8 * label.chars().count() as i64;
    text(p, x.min(last).max(0), (y - 10).max(0), colour, label);
}

/// Words in 8×8 letters on black, from the pixel (x, y) to the right and downwards.
pub fn text(p: &mut Picture, x: i64, y: i64, colour: Rgb, words: &str) {
    fill(p, x, y, 8 * words.chars().count() as i64, 9, BLACK);
    for (i, letter) in words.chars().enumerate() {
        let rows = font8x8::BASIC_FONTS.get(letter).unwrap_or([0; 8]);
        for (dy, row) in rows.iter().enumerate() {
            for dx in (0..8).filter(|dx| row >> dx & 1 == 1) {
                put(p, x + 8 * i as i64 + dx, y + dy as i64, colour);
            }
        }
    }
}

/// A bar of `part` (0 to 1) of its width.
pub fn bar(p: &mut Picture, x: i64, y: i64, width: i64, part: f32, colour: Rgb) {
    fill(p, x, y, width, 6, BLACK);
    fill(p, x, y, (width as f32 * part.clamp(0.0, 1.0)) as i64, 6, colour);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_outside_the_picture_is_left_away() {
        let mut p = Picture {
            width: 20,
            height: 10,
            rgb: vec![7; 600],
        };
        boxed(
            &mut p,
            &BBox {
                x1: -3.0,
                y1: 0.5,
                x2: 9.0,
                y2: 4.0,
            },
            [1, 2, 3],
            "a long label",
        );
        bar(&mut p, 15, 8, 100, 2.0, [9, 9, 9]);
        assert_eq!(p.rgb.len(), 600);
        assert!(p.rgb.chunks(3).any(|c| c == [1, 2, 3]));
    }
}
