//! What a picture looks like as a whole: brightness, contrast, sharpness, colour, and where its edges are.

use crate::data::{EDGE_CELLS, Picture, PictureStats};

/// Measures one picture. Costs one pass over its pixels.
///
/// Luma is that of BT.601, 0 to 255. Sharpness is the variance of the Laplacian (Pech-Pacheco et al., 2000). The edges
/// are the mean absolute differences to the right-hand and the lower neighbour over a grid of cells, as square roots,
/// with their mean taken away and scaled to unit length: the product of two such lists is the correlation of two views,
/// whatever their brightness and contrast.
pub fn picture_stats(picture: &Picture) -> PictureStats {
    let (w, h) = (picture.width as usize, picture.height as usize);
    let luma: Vec<f32> = picture.rgb.chunks_exact(3).map(luma).collect();
    if w < 3 || h < 3 || luma.len() < w * h {
        return PictureStats::default();
    }
    let n = luma.len() as f64;
    let mean = luma.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let variance = luma.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    let colour = picture.rgb.chunks_exact(3).map(spread).sum::<f64>() / n;

    let (columns, rows) = EDGE_CELLS;
    let mut cells = vec![0f32; columns * rows * 2];
    let mut counts = vec![0f32; columns * rows];
    let (mut sum, mut squares) = (0f64, 0f64);
    for y in 1..h - 1 {
        let row = y * rows / h;
        for x in 1..w - 1 {
            let at = y * w + x;
            let here = luma[at];
            let laplace = f64::from(luma[at - 1] + luma[at + 1] + luma[at - w] + luma[at + w] - 4.0 * here);
            sum += laplace;
            squares += laplace * laplace;
            let cell = row * columns + x * columns / w;
            cells[2 * cell] += (luma[at + 1] - here).abs();
            cells[2 * cell + 1] += (luma[at + w] - here).abs();
            counts[cell] += 1.0;
        }
    }
    let inner = ((w - 2) * (h - 2)) as f64;
    for (i, cell) in cells.iter_mut().enumerate() {
        *cell = (*cell / counts[i / 2].max(1.0)).sqrt();
    }
    PictureStats {
        luma: mean as f32,
        contrast: variance.sqrt() as f32,
        sharpness: (squares / inner - (sum / inner).powi(2)) as f32,
        colour: colour as f32,
        edges: unit(cells),
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
fn spread(rgb: &[u8]) -> f64 {
    let (low, high) = (rgb.iter().min(), rgb.iter().max());
    f64::from(high.copied().unwrap_or(0)) - f64::from(low.copied().unwrap_or(0))
}

/// Zero mean, unit length; all zero when nothing stands out.
fn unit(mut v: Vec<f32>) -> Vec<f32> {
    let mean = v.iter().sum::<f32>() / v.len().max(1) as f32;
    v.iter_mut().for_each(|x| *x -= mean);
    let length = v.iter().map(|x| x * x).sum::<f32>().sqrt();
    // Square roots of less than a hundredth of a grey step everywhere are rounding, not edges.
    let scale = if length > 1e-2 { 1.0 / length } else { 0.0 };
    v.iter_mut().for_each(|x| *x *= scale);
    v
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

    /// Stripes and blocks, with `f` over each grey value.
    fn scene(shift: usize, f: impl Fn(f32) -> f32) -> Picture {
        let (w, h) = (160usize, 90usize);
        let mut rgb = Vec::new();
        for y in 0..h {
            for x in 0..w {
                let x = x + shift;
                let block = ((x / 23) * 7 + (y / 17) * 13) % 11;
                let stripe = if (40..80).contains(&x) && (x / 2).is_multiple_of(2) {
                    60.0
                } else {
                    0.0
                };
                let v = f(20.0 * block as f32 + stripe).clamp(0.0, 255.0) as u8;
                rgb.extend([v, v, v]);
            }
        }
        Picture {
            width: w as u32,
            height: h as u32,
            rgb,
        }
    }

    fn alike(a: &PictureStats, b: &PictureStats) -> f32 {
        a.edges.iter().zip(&b.edges).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn brightness_and_contrast_change_the_figures_and_not_the_edges() {
        let (plain, dim) = (
            picture_stats(&scene(0, |v| v)),
            picture_stats(&scene(0, |v| v * 0.5 + 10.0)),
        );
        assert!(dim.luma < plain.luma && (dim.contrast / plain.contrast - 0.5).abs() < 0.03);
        assert!((dim.sharpness / plain.sharpness - 0.25).abs() < 0.03);
        assert!(alike(&plain, &dim) > 0.98, "{}", alike(&plain, &dim));
        assert!(plain.colour < 0.01);
    }

    #[test]
    fn another_view_has_other_edges() {
        let (plain, moved) = (picture_stats(&scene(0, |v| v)), picture_stats(&scene(57, |v| v)));
        assert!(alike(&plain, &moved) < 0.4, "{}", alike(&plain, &moved));
    }

    #[test]
    fn a_flat_picture_has_no_contrast_no_edges_and_its_own_hash() {
        let (grey, black) = (picture_stats(&scene(0, |_| 99.0)), picture_stats(&scene(0, |_| 0.0)));
        assert!((grey.luma - 99.0).abs() < 1e-3);
        assert_eq!((grey.contrast, grey.sharpness), (0.0, 0.0));
        assert!(grey.edges.iter().all(|e| *e == 0.0));
        assert_ne!(grey.hash, black.hash);
        assert_eq!(black.hash, picture_stats(&scene(3, |_| 0.0)).hash);
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
