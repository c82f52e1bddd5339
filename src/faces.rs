//! Plane geometry and grey values of faces: how one is turned upright and cut out, and how much it shows. Pure.

use crate::data::{BBox, Face, Picture, Point};
use crate::picture_stats::luma;

/// A picture in grey, rounded.
pub fn grey(picture: &Picture) -> Vec<u8> {
    picture
        .rgb
        .as_chunks::<3>()
        .0
        .iter()
        .map(|p| (luma(p) + 0.5) as u8)
        .collect()
}

/// A turn with a scale, and a shift: z → a·z + b on complex numbers.
#[derive(Clone, Copy, Debug)]
struct Similarity {
    a: (f32, f32),
    b: (f32, f32),
}

impl Similarity {
    /// The one that takes `from` nearest to `to` in the least squares (Umeyama, 1991). None when `from` is one point.
    fn fit(from: &[(f32, f32); 5], to: &[(f32, f32); 5]) -> Option<Self> {
        let mean = |p: &[(f32, f32); 5]| {
            let (x, y) = p.iter().fold((0.0, 0.0), |s, q| (s.0 + q.0, s.1 + q.1));
            (x / 5.0, y / 5.0)
        };
        let (f, t) = (mean(from), mean(to));
        let (mut re, mut im, mut size) = (0.0, 0.0, 0.0);
        for (p, q) in from.iter().zip(to) {
            let (px, py) = (p.0 - f.0, p.1 - f.1);
            let (qx, qy) = (q.0 - t.0, q.1 - t.1);
            re += qx * px + qy * py;
            im += qy * px - qx * py;
            size += px * px + py * py;
        }
        let a = (re / size, im / size);
        let b = (t.0 - (a.0 * f.0 - a.1 * f.1), t.1 - (a.1 * f.0 + a.0 * f.1));
        let well = size > 1e-9 && [a.0, a.1, b.0, b.1].iter().all(|v| v.is_finite());
        well.then_some(Self { a, b })
    }

    fn apply(&self, x: f32, y: f32) -> (f32, f32) {
        (
            self.a.0 * x - self.a.1 * y + self.b.0,
            self.a.1 * x + self.a.0 * y + self.b.1,
        )
    }

    fn scale(&self) -> f32 {
        self.a.0.hypot(self.a.1)
    }
}

/// A face turned upright and cut out: `side` × `side` grey values. `template` says where the five points lie in the
/// crop, in fractions of its side; what lies outside the picture repeats its edge. Larger faces are averaged, not
/// sampled. None when the points are no face (all in one place, or not finite).
pub fn aligned(picture: &Picture, face: &Face, template: &[[f32; 2]; 5], side: usize) -> Option<Vec<u8>> {
    let (w, h) = (picture.width as usize, picture.height as usize);
    if w == 0 || h == 0 || picture.rgb.len() < w * h * 3 {
        return None;
    }
    let from = template.map(|[x, y]| (x * side as f32, y * side as f32));
    let to = pixels(picture, face);
    let map = Similarity::fit(&from, &to)?;
    // Samples a crop's pixel and side: one picture pixel apart at most, and bounded.
    let n = (map.scale().ceil() as usize).clamp(1, 8);
    let at = |x: usize, y: usize| luma(&picture.rgb[(y * w + x) * 3..][..3]);
    let sample = |x: f32, y: f32| {
        let (x, y) = (
            (x - 0.5).clamp(0.0, (w - 1) as f32),
            (y - 0.5).clamp(0.0, (h - 1) as f32),
        );
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
        let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
        mix(
            mix(at(x0, y0), at(x1, y0), x.fract()),
            mix(at(x0, y1), at(x1, y1), x.fract()),
            y.fract(),
        )
    };
    let mut out = Vec::with_capacity(side * side);
    for y in 0..side {
        for x in 0..side {
            let mut sum = 0.0;
            for i in 0..n * n {
                let inner = |k: usize| (k as f32 + 0.5) / n as f32;
                let (sx, sy) = map.apply(x as f32 + inner(i % n), y as f32 + inner(i / n));
                sum += sample(sx, sy);
            }
            out.push((sum / (n * n) as f32 + 0.5) as u8);
        }
    }
    Some(out)
}

/// How much a face shows, 0 to 1: the product of size (full from 48 pixels of height on), sharpness of the aligned
/// crop, and how far it looks at the camera by its five points.
pub fn quality(picture: &Picture, face: &Face, crop: &[u8], side: usize) -> f32 {
    let height_px = face.bbox.height() * picture.height as f32;
    let size = (height_px / 48.0).clamp(0.0, 1.0);
    size * sharpness(crop, side) * frontal(&pixels(picture, face))
}

/// Share of the grey values' spread that changes from a pixel to the next, 0 (smooth, flat) to 1.
fn sharpness(crop: &[u8], side: usize) -> f32 {
    let n = crop.len().max(1) as f32;
    let mean = crop.iter().map(|v| f32::from(*v)).sum::<f32>() / n;
    let spread = (crop.iter().map(|v| (f32::from(*v) - mean).powi(2)).sum::<f32>() / n).sqrt();
    let steps = crop
        .chunks_exact(side.max(1))
        .flat_map(|row| row.windows(2))
        .map(|p| (f32::from(p[0]) - f32::from(p[1])).powi(2))
        .sum::<f32>();
    // A flat crop shows nothing, however its noise looks beside it.
    let change = (steps / n).sqrt() / (spread + 4.0);
    (change / 0.2).clamp(0.0, 1.0)
}

/// 1 for a face that looks at the camera, 0 for one in profile: how far the nose stands beside the eyes' middle, and
/// how narrow the eyes are beside the way from eyes to mouth.
fn frontal([right, left, nose, mouth_right, mouth_left]: &[(f32, f32); 5]) -> f32 {
    let middle = |a: &(f32, f32), b: &(f32, f32)| ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0);
    let (eyes, mouth) = (middle(right, left), middle(mouth_right, mouth_left));
    let across = (left.0 - right.0, left.1 - right.1);
    let apart = across.0.hypot(across.1).max(1e-6);
    let long = (mouth.0 - eyes.0).hypot(mouth.1 - eyes.1).max(1e-6);
    let beside = ((nose.0 - eyes.0) * across.0 + (nose.1 - eyes.1) * across.1).abs() / apart;
    let turned = (1.0 - beside / apart / 0.5).clamp(0.0, 1.0);
    turned * (apart / long / 0.8).clamp(0.0, 1.0)
}

/// Where a person's head is looked for: the upper part of the box, or all of it where only an upper body is in view.
/// In fractions of the picture.
pub fn head_region(picture: &Picture, person: &BBox) -> BBox {
    let (w, h) = (picture.width as f32, picture.height as f32);
    let (pw, ph) = (person.width() * w, person.height() * h);
    let across = pw.max(0.4 * ph);
    let down = (0.4 * ph).max(pw.min(ph));
    let (middle, top) = (person.centre().x * w, person.y1 * h - 0.08 * ph);
    BBox {
        x1: (middle - across / 2.0) / w,
        y1: top / h,
        x2: (middle + across / 2.0) / w,
        y2: (top + 0.08 * ph + down) / h,
    }
    .clipped()
}

/// A part of a picture, its longer side at most `longest_px`: blocks of pixels are averaged. None when it is empty.
pub fn cut_out(picture: &Picture, region: &BBox, longest_px: u32) -> Option<Picture> {
    let r = region.clipped();
    let edge = |v: f32, side: u32| ((v * side as f32).round() as usize).min(side as usize);
    let (x0, x1) = (edge(r.x1, picture.width), edge(r.x2, picture.width));
    let (y0, y1) = (edge(r.y1, picture.height), edge(r.y2, picture.height));
    let longest = x1.saturating_sub(x0).max(y1.saturating_sub(y0));
    let block = longest.div_ceil(longest_px.max(1) as usize).max(1);
    let (w, h) = (x1.saturating_sub(x0) / block, y1.saturating_sub(y0) / block);
    if w == 0 || h == 0 {
        return None;
    }
    let row = picture.width as usize * 3;
    let mut rgb = Vec::with_capacity(w * h * 3);
    for y in 0..h {
        for x in 0..w {
            for colour in 0..3 {
                let corner = (y0 + y * block) * row + (x0 + x * block) * 3 + colour;
                let sum: usize = (0..block * block)
                    .map(|i| usize::from(picture.rgb[corner + (i / block) * row + (i % block) * 3]))
                    .sum();
                rgb.push((sum / (block * block)) as u8);
            }
        }
    }
    Some(Picture {
        width: w as u32,
        height: h as u32,
        rgb,
    })
}

fn pixels(picture: &Picture, face: &Face) -> [(f32, f32); 5] {
    face.points
        .map(|Point { x, y }| (x * picture.width as f32, y * picture.height as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: [[f32; 2]; 5] = [
        [0.31, 0.385],
        [0.69, 0.385],
        [0.5, 0.594],
        [0.345, 0.754],
        [0.655, 0.754],
    ];

    /// A grey slope, so that each place has its value, 128 × 64.
    fn slope() -> Picture {
        let rgb = (0..64u32)
            .flat_map(|y| (0..128u32).flat_map(move |x| [(x + 2 * (y / 2)) as u8; 3]))
            .collect();
        Picture {
            width: 128,
            height: 64,
            rgb,
        }
    }

    /// A face whose crop begins at (left, top) and is `side` pixels wide, turned by nothing.
    fn face_at(left: f32, top: f32, side: f32) -> Face {
        let points = TEMPLATE.map(|[x, y]| Point {
            x: (left + x * side) / 128.0,
            y: (top + y * side) / 64.0,
        });
        Face {
            bbox: BBox {
                x1: left / 128.0,
                y1: top / 64.0,
                x2: (left + side) / 128.0,
                y2: (top + side) / 64.0,
            },
            points,
            score: 0.9,
        }
    }

    #[test]
    fn an_upright_face_of_the_crops_size_is_cut_out_as_it_is() {
        let picture = slope();
        let crop = aligned(&picture, &face_at(20.0, 10.0, 48.0), &TEMPLATE, 48).unwrap();
        for (i, value) in crop.iter().enumerate() {
            let (x, y) = (20 + i % 48, 10 + i / 48);
            let there = picture.rgb[(y * 128 + x) * 3];
            assert!(value.abs_diff(there) <= 1, "{x},{y}: {value}, {there}");
        }
    }

    #[test]
    fn a_leaning_face_is_turned_upright() {
        let mut face = face_at(40.0, 16.0, 32.0);
        // A quarter turn to the right around the picture's middle, in pixels.
        face.points = face.points.map(|p| {
            let (x, y) = (p.x * 128.0 - 56.0, p.y * 64.0 - 32.0);
            Point {
                x: (56.0 - y) / 128.0,
                y: (32.0 + x) / 64.0,
            }
        });
        let crop = aligned(&slope(), &face, &TEMPLATE, 32).unwrap();
        // Down the crop is now left in the picture, where the slope falls.
        assert!(crop[16] > crop[31 * 32 + 16] + 20);
    }

    #[test]
    fn a_large_face_is_averaged_and_one_beyond_the_edge_repeats_it() {
        let mut picture = slope();
        for (i, v) in picture.rgb.iter_mut().enumerate() {
            *v = if (i / 3) % 2 == 0 { 0 } else { 200 };
        }
        let crop = aligned(&picture, &face_at(30.0, 2.0, 60.0), &TEMPLATE, 20).unwrap();
        assert!(crop.iter().all(|v| (60..140).contains(v)), "{crop:?}");
        assert!(aligned(&picture, &face_at(-30.0, -20.0, 60.0), &TEMPLATE, 20).is_some());
    }

    #[test]
    fn points_that_are_no_face_give_nothing() {
        let mut face = face_at(10.0, 10.0, 30.0);
        face.points = [Point { x: f32::NAN, y: 0.2 }; 5];
        assert!(aligned(&slope(), &face, &TEMPLATE, 48).is_none());
    }

    #[test]
    fn a_turned_or_smooth_or_small_face_counts_for_less() {
        let picture = slope();
        let face = face_at(20.0, 10.0, 48.0);
        let textured: Vec<u8> = (0..48 * 48).map(|i| if i % 5 < 2 { 40 } else { 180 }).collect();
        let full = quality(&picture, &face, &textured, 48);
        assert!(full > 0.9, "{full}");
        let mut turned = face.clone();
        turned.points[2].x += 0.4 * 48.0 * 0.38 / 128.0;
        assert!(quality(&picture, &turned, &textured, 48) < 0.3 * full);
        assert!(quality(&picture, &face, &[128; 48 * 48], 48) < 0.05);
        assert!(quality(&picture, &face_at(20.0, 10.0, 16.0), &textured, 48) < 0.4);
    }

    #[test]
    fn a_head_is_in_the_upper_part_of_a_walker_and_anywhere_in_an_upper_body() {
        let picture = Picture {
            width: 1000,
            height: 500,
            rgb: vec![],
        };
        let walker = BBox {
            x1: 0.4,
            y1: 0.2,
            x2: 0.46,
            y2: 0.8,
        };
        let head = head_region(&picture, &walker);
        assert!(head.y1 < 0.2 && (0.4..0.5).contains(&head.y2), "{head:?}");
        assert!(head.width() * 1000.0 >= 0.4 * 300.0 - 1.0);
        let bust = BBox {
            x1: 0.2,
            y1: 0.1,
            x2: 0.5,
            y2: 0.7,
        };
        assert!((head_region(&picture, &bust).y2 - 0.7).abs() < 1e-3);
    }

    #[test]
    fn a_part_is_cut_out_whole_or_shrunk_and_an_empty_one_is_none() {
        let picture = slope();
        let part = BBox {
            x1: 0.25,
            y1: 0.25,
            x2: 0.75,
            y2: 0.75,
        };
        let whole = cut_out(&picture, &part, 200).unwrap();
        assert_eq!((whole.width, whole.height), (64, 32));
        assert_eq!(whole.rgb[..3], picture.rgb[(16 * 128 + 32) * 3..][..3]);
        let small = cut_out(&picture, &part, 32).unwrap();
        assert_eq!((small.width, small.height, small.rgb.len()), (32, 16, 32 * 16 * 3));
        let nothing = BBox { x2: 0.25, ..part };
        assert!(cut_out(&picture, &nothing, 32).is_none());
        assert!(cut_out(&picture, &BBox { x1: f32::NAN, ..part }, 32).is_none_or(|p| p.width > 0));
    }
}
