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

    #[test]
    fn the_mask_is_black_and_the_rest_untouched() {
        let square = [(0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)]
            .map(|(x, y)| Point { x, y })
            .to_vec();
        let mut picture = Picture {
            width: 8,
            height: 4,
            rgb: vec![200; 96],
        };
        Masker::new(vec![square]).apply(&mut picture);
        for (i, value) in picture.rgb.iter().enumerate() {
            let x = i / 3 % 8;
            // Column 3 touches the edge: black too.
            assert_eq!(*value == 0, x >= 3, "x {x}");
        }
    }
}
