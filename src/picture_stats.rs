//! What a picture looks like, by cells: brightness, contrast, sharpness, colour, and where its edges are.

use crate::data::{LOOK_CELLS, LookCell, Picture, PictureStats};

/// Measures one picture but for its outermost pixels. Costs one pass over it.
///
/// Luma is that of BT.601. The Laplacian is that of the four neighbours.
pub fn picture_stats(picture: &Picture) -> PictureStats {
    let (w, h) = (picture.width as usize, picture.height as usize);
    let luma: Vec<f32> = picture.rgb.chunks_exact(3).map(luma).collect();
    if w < 3 || h < 3 || luma.len() < w * h {
        return PictureStats::default();
    }
    let (columns, rows) = LOOK_CELLS;
    let mut cells = vec![LookCell::default(); columns * rows];
    let mut counts = vec![0f32; columns * rows];
    for y in 1..h - 1 {
        let row = y * rows / h;
        for x in 1..w - 1 {
            let at = y * w + x;
            let here = luma[at];
            let laplace = luma[at - 1] + luma[at + 1] + luma[at - w] + luma[at + w] - 4.0 * here;
            let i = row * columns + x * columns / w;
            let cell = &mut cells[i];
            cell.luma += here;
            cell.luma_variance += here * here;
            cell.laplace_squared += laplace * laplace;
            cell.edges[0] += (luma[at + 1] - here).abs();
            cell.edges[1] += (luma[at + w] - here).abs();
            cell.colour += spread(&picture.rgb[3 * at..3 * at + 3]);
            counts[i] += 1.0;
        }
    }
    for (cell, n) in cells.iter_mut().zip(counts) {
        *cell = cell.map(|sum| sum / n.max(1.0));
        cell.luma_variance = (cell.luma_variance - cell.luma.powi(2)).max(0.0);
    }
    PictureStats {
        cells,
        hash: hash(&picture.rgb),
    }
}

/// Parts of red, green and blue in brightness (ITU-R BT.601).
pub const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// Grey of one pixel (ITU-R BT.601), 0 to 255.
pub fn luma(rgb: &[u8]) -> f32 {
    rgb.iter().zip(LUMA).map(|(v, part)| f32::from(*v) * part).sum()
}

/// How far a pixel is from grey.
fn spread(rgb: &[u8]) -> f32 {
    let (low, high) = (rgb.iter().min(), rgb.iter().max());
    f32::from(high.copied().unwrap_or(0)) - f32::from(low.copied().unwrap_or(0))
}

/// FNV-1a over words of eight bytes: tells whether two pictures are the same in every pixel.
fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0u8; 8];
        word.copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0100_0000_01b3);
    }
    for byte in chunks.remainder() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(w: usize, h: usize, pixel: impl Fn(usize, usize) -> [u8; 3]) -> Picture {
        Picture {
            width: w as u32,
            height: h as u32,
            rgb: (0..w * h).flat_map(|i| pixel(i % w, i / w)).collect(),
        }
    }

    #[test]
    fn cells_measure_what_is_in_them() {
        // The left half flat and red, the right half of grey columns two pixels wide.
        let columns = |x: usize, _| match x {
            0..320 => [100, 20, 20],
            _ if (x / 2).is_multiple_of(2) => [200; 3],
            _ => [100; 3],
        };
        let stats = picture_stats(&picture(640, 360, columns));
        let at = |column: usize, row: usize| stats.cells[row * LOOK_CELLS.0 + column];
        let flat = at(3, 9);
        assert!((flat.luma - 43.92).abs() < 0.01 && (flat.colour - 80.0).abs() < 0.01);
        assert_eq!((flat.edges, flat.laplace_squared), ([0.0; 2], 0.0));
        let columned = at(25, 9);
        assert!((columned.luma - 150.0).abs() < 0.01 && columned.colour == 0.0);
        // Every other pixel has a neighbour that differs by 100 to its right, every one beside it.
        assert!((columned.edges[0] - 50.0).abs() < 0.1 && columned.edges[1] == 0.0);
        assert!((columned.laplace_squared - 10_000.0).abs() < 1.0);
        assert!((columned.luma_variance - 2_500.0).abs() < 1.0);
    }

    #[test]
    fn pictures_that_are_the_same_have_one_hash_and_no_others() {
        let of = |v: u8| picture_stats(&picture(160, 90, |x, y| [v ^ (x as u8), v, y as u8])).hash;
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn a_picture_without_pixels_gives_nothing_and_no_panic() {
        let none = Picture {
            width: 0,
            height: 0,
            rgb: vec![],
        };
        assert_eq!(picture_stats(&none), PictureStats::default());
    }
}
