//! A picture in cells of about a hundredth of its width: coarse enough to be cheap and without the sensor's noise.

use crate::data::Picture;

const COLUMNS: usize = 80;
const LEAST_CELL_PX: usize = 4;

/// Mean of each of red, green and blue, 0 to 255.
pub type Colour = [f32; 3];

/// The cells' mean colours, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cells {
    pub colours: Vec<Colour>,
    pub columns: usize,
    /// Width and height of the picture.
    pub size_px: (u32, u32),
}

/// Costs one pass over the pixels. A picture without any has no cells.
pub fn cells(picture: &Picture) -> Cells {
    let (w, h) = (picture.width as usize, picture.height as usize);
    if w == 0 || h == 0 || picture.rgb.len() < w * h * 3 {
        return Cells {
            size_px: (picture.width, picture.height),
            ..Cells::default()
        };
    }
    let px = (w / COLUMNS).max(LEAST_CELL_PX);
    let (columns, rows) = (w.div_ceil(px), h.div_ceil(px));
    let mut cells = Vec::with_capacity(columns * rows);
    let mut sums = vec![[0u32; 3]; columns];
    for y0 in (0..h).step_by(px) {
        sums.fill([0; 3]);
        let height = px.min(h - y0);
        for row in picture.rgb[y0 * w * 3..(y0 + height) * w * 3].chunks_exact(w * 3) {
            for (sum, cell) in sums.iter_mut().zip(row.chunks(px * 3)) {
                for pixel in cell.chunks_exact(3) {
                    for (sum, value) in sum.iter_mut().zip(pixel) {
                        *sum += u32::from(*value);
                    }
                }
            }
        }
        cells.extend(sums.iter().enumerate().map(|(column, sum)| {
            let count = (height * px.min(w - column * px)) as f32;
            sum.map(|s| s as f32 / count)
        }));
    }
    Cells {
        colours: cells,
        columns,
        size_px: (picture.width, picture.height),
    }
}

/// The cells without what the whole picture has changed by since: the median over the cells, colour by colour.
pub fn without_shift(now: &[Colour], was: &[Colour]) -> Vec<Colour> {
    let shift = [0, 1, 2].map(|k| median(now.iter().zip(was).map(|(n, w)| n[k] - w[k]).collect()));
    now.iter().map(|n| [0, 1, 2].map(|k| n[k] - shift[k])).collect()
}

/// Grey levels in the colour that differs most.
pub fn distance(a: &Colour, b: &Colour) -> f32 {
    (0..3).map(|k| (a[k] - b[k]).abs()).fold(0.0, f32::max)
}

/// Moves a mean a part of the way to a new value.
pub fn follow(mean: &mut Colour, new: &Colour, part: f32) {
    mean.iter_mut().zip(new).for_each(|(m, n)| *m += (n - *m) * part);
}

/// The upper of both in the middle of an even number; 0 of none.
pub fn median(mut values: Vec<f32>) -> f32 {
    let middle = values.len() / 2;
    if values.is_empty() {
        return 0.0;
    }
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}
