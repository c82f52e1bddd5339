//! Privacy masks: painted black before anything looks at the picture.

use crate::data::{Picture, Point};
use crate::geometry::inside;

/// Masks as runs of pixels for one picture size, worked out once.
#[derive(Default)]
pub struct Masker {
    polygons: Vec<Vec<Point>>,
    size: (u32, u32),
    /// (first byte, bytes)
    runs: Vec<(usize, usize)>,
}

impl Masker {
    /// Polygons in fractions of the picture.
    pub fn new(polygons: Vec<Vec<Point>>) -> Self {
        Self {
            polygons,
            ..Self::default()
        }
    }

    pub fn apply(&mut self, picture: &mut Picture) {
        if self.polygons.is_empty() {
            return;
        }
        if self.size != (picture.width, picture.height) {
            self.size = (picture.width, picture.height);
            self.runs = self.work_out();
        }
        for (start, length) in &self.runs {
            picture.rgb[*start..start + length].fill(0);
        }
    }

    fn work_out(&self) -> Vec<(usize, usize)> {
        let (w, h) = self.size;
        let covered = |x: u32, y: u32| {
            // A pixel that the mask touches at all is black: its corners and centre are asked.
            [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5)]
                .iter()
                .any(|(dx, dy)| {
                    let p = Point {
                        x: (x as f32 + dx) / w as f32,
                        y: (y as f32 + dy) / h as f32,
                    };
                    self.polygons.iter().any(|polygon| inside(polygon, p))
                })
        };
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for y in 0..h {
            for x in (0..w).filter(|x| covered(*x, y)) {
                let at = ((y * w + x) * 3) as usize;
                match runs.last_mut() {
                    Some((start, length)) if *start + *length == at => *length += 3,
                    _ => runs.push((at, 3)),
                }
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As high as the picture, between two fractions of its width.
    fn stripe(from: f32, to: f32) -> Vec<Point> {
        [(from, 0.0), (to, 0.0), (to, 1.0), (from, 1.0)]
            .map(|(x, y)| Point { x, y })
            .to_vec()
    }

    /// The columns that are black from top to bottom in a picture that was grey. The others are as they were.
    fn blackened(masker: &mut Masker, width: u32, height: u32) -> Vec<u32> {
        let mut picture = Picture {
            width,
            height,
            rgb: vec![200; (width * height * 3) as usize],
        };
        masker.apply(&mut picture);
        let is_black = |x: u32| {
            let pixels = (0..height).map(|y| &picture.rgb[((y * width + x) * 3) as usize..][..3]);
            let column: Vec<u8> = pixels.flatten().copied().collect();
            let is_one = [0, 200].iter().any(|value| column.iter().all(|v| v == value));
            assert!(is_one, "column {x}: {column:?}");
            column[0] == 0
        };
        (0..width).filter(|x| is_black(*x)).collect()
    }

    #[test]
    fn the_mask_is_black_and_the_rest_untouched() {
        // Column 3 touches the edge: black too.
        let mut masker = Masker::new(vec![stripe(0.5, 1.0)]);
        assert_eq!(blackened(&mut masker, 8, 4), [3, 4, 5, 6, 7]);
    }

    #[test]
    fn of_two_masks_each_is_black_and_what_lies_between_is_not() {
        let mut masker = Masker::new(vec![stripe(0.0, 0.2), stripe(0.8, 1.0)]);
        assert_eq!(blackened(&mut masker, 8, 4), [0, 1, 6, 7]);
    }

    #[test]
    fn a_camera_that_changes_its_size_is_masked_at_the_same_place() {
        let mut masker = Masker::new(vec![stripe(0.3, 0.4)]);
        assert_eq!(blackened(&mut masker, 8, 4), [2, 3]);
        assert_eq!(blackened(&mut masker, 16, 8), [4, 5, 6]);
        assert_eq!(blackened(&mut masker, 8, 4), [2, 3]);
    }
}
