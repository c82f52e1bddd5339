//! Pictures of a clip: which are taken, where they move, and their size. The same in `models/training/action`.

use crate::data::Picture;

/// Cells in which motion is looked for.
const CELLS_X: usize = 32;
const CELLS_Y: usize = 24;
/// Grey levels that noise and compression change a cell by.
const NOISE: f64 = 1.0;
/// The motion's extent is widened so many times, and is this much of the picture at least.
const ROOM: f64 = 1.3;
const LEAST: f64 = 0.35;

/// A part of a picture in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub left: usize,
    pub top: usize,
    pub right: usize,
    pub bottom: usize,
}

/// The part of the pictures, all of one size, that holds nine tenths of their motion; it has their shape.
pub(super) fn moving_region(pictures: &[Picture]) -> Region {
    let (w, h) = pictures
        .first()
        .map_or((1, 1), |p| (p.width as usize, p.height as usize));
    let (cw, ch) = (w / CELLS_X, h / CELLS_Y);
    let mut energy = vec![0f64; CELLS_X * CELLS_Y];
    let cells: Vec<Vec<f64>> = pictures.iter().map(|p| grey_cells(p, cw, ch)).collect();
    let steps = pictures.len().saturating_sub(1).max(1) as f64;
    for pair in cells.windows(2) {
        for (e, (a, b)) in energy.iter_mut().zip(pair[0].iter().zip(&pair[1])) {
            *e += (b - a).abs() / steps;
        }
    }
    energy.iter_mut().for_each(|e| *e = (*e - NOISE).max(0.0) + 1e-6);
    let columns: Vec<f64> = (0..CELLS_X)
        .map(|x| energy.iter().skip(x).step_by(CELLS_X).sum())
        .collect();
    let rows: Vec<f64> = energy.chunks_exact(CELLS_X).map(|row| row.iter().sum()).collect();
    let ((x1, x2), (y1, y2)) = (extent(&columns), extent(&rows));
    let side = ((x2 - x1) * ROOM).max((y2 - y1) * ROOM).clamp(LEAST, 1.0);
    let from = |middle: f64| (middle - side / 2.0).max(0.0).min(1.0 - side);
    let (left, top) = (from((x1 + x2) / 2.0), from((y1 + y2) / 2.0));
    Region {
        left: (left * w as f64) as usize,
        top: (top * h as f64) as usize,
        right: ((left + side) * w as f64) as usize,
        bottom: ((top + side) * h as f64) as usize,
    }
}

/// Mean of each cell; pixels that are left over count for nothing.
fn grey_cells(picture: &Picture, cw: usize, ch: usize) -> Vec<f64> {
    let row_bytes = picture.width as usize * 3;
    let mut sums = vec![0u64; CELLS_X * CELLS_Y];
    for (y, row) in picture.rgb.chunks_exact(row_bytes).take(ch * CELLS_Y).enumerate() {
        for (x, cell) in row.chunks_exact((cw * 3).max(1)).take(CELLS_X).enumerate() {
            sums[y / ch * CELLS_X + x] += cell.iter().map(|v| u64::from(*v)).sum::<u64>();
        }
    }
    let n = (cw * ch * 3).max(1) as f64;
    sums.into_iter().map(|s| s as f64 / n).collect()
}

/// Where the sum of the values goes from 5 % to 95 %, in fractions.
fn extent(values: &[f64]) -> (f64, f64) {
    let total: f64 = values.iter().sum();
    let mut sum = 0.0;
    let (mut low, mut high) = (0, 0);
    for value in values {
        sum += value;
        low += usize::from(sum / total < 0.05);
        high += usize::from(sum / total < 0.95);
    }
    let n = values.len() as f64;
    (low as f64 / n, (high + 1) as f64 / n)
}

pub(super) fn cut(picture: &Picture, region: Region) -> Picture {
    let Region {
        left,
        top,
        right,
        bottom,
    } = region;
    let rows = picture.rgb.chunks_exact(picture.width as usize * 3);
    let rows = rows.skip(top).take(bottom - top);
    Picture {
        width: (right - left) as u32,
        height: (bottom - top) as u32,
        rgb: rows.flat_map(|row| &row[left * 3..right * 3]).copied().collect(),
    }
}

/// Which of `n` pictures are taken: evenly `most` of them, all when there are fewer, some twice when there are fewer
/// than `least`.
pub(super) fn spread(n: usize, least: usize, most: usize) -> Vec<usize> {
    let take = if n == 0 { 0 } else { n.clamp(least, most) };
    (0..take).map(|i| (2 * i + 1) * n / (2 * take)).collect()
}

/// A triangle filter that widens as the picture shrinks, so that every pixel counts; rows after columns, rounded once.
pub(super) fn resized(picture: &Picture, width: usize, height: usize) -> Picture {
    let (pw, ph) = (picture.width as usize, picture.height as usize);
    if (pw, ph) == (width, height) {
        return picture.clone();
    }
    let (xs, ys) = (taps(pw, width), taps(ph, height));
    let mut columns = vec![0f32; ph * width * 3];
    for (row, out) in picture
        .rgb
        .chunks_exact(pw * 3)
        .zip(columns.chunks_exact_mut(width * 3))
    {
        for (pixel, (first, weights)) in out.chunks_exact_mut(3).zip(&xs) {
            for (from, weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                for (to, value) in pixel.iter_mut().zip(from) {
                    *to += f32::from(*value) * weight;
                }
            }
        }
    }
    let mut rgb = Vec::with_capacity(width * height * 3);
    let mut sum = vec![0f32; width * 3];
    for (first, weights) in &ys {
        sum.fill(0.0);
        for (row, weight) in columns[first * width * 3..].chunks_exact(width * 3).zip(weights) {
            sum.iter_mut().zip(row).for_each(|(to, value)| *to += value * weight);
        }
        rgb.extend(sum.iter().map(|v| (v + 0.5).floor().clamp(0.0, 255.0) as u8));
    }
    Picture {
        width: width as u32,
        height: height as u32,
        rgb,
    }
}

/// For each of `outs` values: the first of the `ins` that it is made of, and their weights, which sum to one.
fn taps(ins: usize, outs: usize) -> Vec<(usize, Vec<f32>)> {
    let step = ins as f64 / outs as f64;
    let reach = step.max(1.0);
    (0..outs)
        .map(|o| {
            let centre = (o as f64 + 0.5) * step - 0.5;
            let first = (centre - reach).ceil().max(0.0) as usize;
            let last = ((centre + reach).floor() as usize).min(ins.saturating_sub(1));
            let raw: Vec<f64> = (first..=last)
                .map(|i| (1.0 - (i as f64 - centre).abs() / reach).max(0.0))
                .collect();
            let sum: f64 = raw.iter().sum();
            (first, raw.iter().map(|v| (v / sum) as f32).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_evenly_and_repeated_only_when_too_few() {
        assert_eq!(spread(20, 5, 10), [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
        assert_eq!(spread(8, 5, 10), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(spread(2, 5, 10), [0, 0, 1, 1, 1]);
        assert!(spread(0, 5, 10).is_empty());
    }

    fn picture(grey: impl Fn(usize, usize) -> u8) -> Picture {
        let values = (0..192).flat_map(|y| (0..320).map(move |x| (x, y)));
        Picture {
            width: 320,
            height: 192,
            rgb: values.flat_map(|(x, y)| [grey(x, y); 3]).collect(),
        }
    }

    #[test]
    fn the_region_is_where_something_moves_and_a_still_picture_is_taken_whole() {
        let still = picture(|_, _| 90);
        let whole = Region {
            left: 0,
            top: 0,
            right: 320,
            bottom: 192,
        };
        assert_eq!(moving_region(&[still.clone(), still.clone()]), whole);
        let moved = picture(|x, y| {
            if (200..240).contains(&x) && (50..90).contains(&y) {
                200
            } else {
                90
            }
        });
        let region = moving_region(&[still.clone(), moved, still.clone()]);
        assert!(region.left > 100 && region.left < 200 && region.right >= 240 && region.top < 50 && region.bottom > 90);
        let part = cut(&still, region);
        assert!((110..=114).contains(&part.width) && part.rgb.len() == (part.width * part.height * 3) as usize);
    }

    #[test]
    fn a_plain_picture_stays_plain_at_every_size() {
        for (w, h) in [(1, 1), (3, 200), (160, 96), (641, 37)] {
            let picture = Picture {
                width: w,
                height: h,
                rgb: [10, 120, 255].repeat((w * h) as usize),
            };
            assert_eq!(resized(&picture, 160, 96).rgb, [10, 120, 255].repeat(160 * 96));
        }
    }
}
